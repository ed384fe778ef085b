UPDATE t SET j = JSON_MERGE_PATCH(j, '{"a": null, "zz": {"y": 1}}');
UPDATE t SET j = JSON_MERGE_PRESERVE(j, '{"zz": 1}') WHERE id = 1;
