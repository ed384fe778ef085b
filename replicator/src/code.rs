//! The codes of what the wiring itself finds; every other crate has its own.

transaction::halt_codes! {
    /// The tables of two regions that meet for the first time differ.
    TABLES_DIFFER = "tables-differ";
    /// The region's MySQL does not answer what the extractor asks.
    SERVER_NOT_ANSWERING = "server-not-answering";
    /// Schema `concord` on the server belongs to another region or mesh.
    SERVER_OF_ANOTHER_REGION = "server-of-another-region";
    /// `[mesh]` declares the region lost, or may have while it was away.
    REGION_GIVEN_UP = "region-given-up";
    /// A log takes all that `[region.log] quota` allows.
    LOG_QUOTA = "log-quota";
    /// The operating system starts no more threads.
    THREAD_NOT_STARTED = "thread-not-started";
    /// A part of the process ended by a panic.
    PANICKED = "panicked";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    const RUNBOOK: &str = include_str!("../../deploy/RUNBOOK.md");

    fn codes() -> BTreeSet<&'static str> {
        let crates =
            [extractor::code::ALL, applier::code::ALL, link::code::ALL, log_store::code::ALL, super::ALL];
        crates.into_iter().flatten().map(|code| code.as_str()).collect()
    }

    fn headings() -> impl Iterator<Item = &'static str> {
        RUNBOOK.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim())
    }

    #[test]
    fn every_code_has_one_heading_in_the_runbook_and_every_such_heading_is_a_code() {
        let mut explained = BTreeSet::new();
        for heading in headings() {
            let Some(code) = heading.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')) else {
                continue;
            };
            assert!(explained.insert(code), "two headings explain {code}");
        }
        let codes = codes();
        let unexplained: Vec<_> = codes.difference(&explained).collect();
        assert!(unexplained.is_empty(), "without a heading in deploy/RUNBOOK.md: {unexplained:?}");
        let unknown: Vec<_> = explained.difference(&codes).collect();
        assert!(unknown.is_empty(), "headings in deploy/RUNBOOK.md that are no codes: {unknown:?}");
    }

    #[test]
    fn an_entry_of_a_code_says_how_it_is_seen_and_what_to_do() {
        for entry in RUNBOOK.split("\n#### `").skip(1) {
            let (code, text) = entry.split_once('`').unwrap_or_default();
            let text = text.split("\n#").next().unwrap_or_default();
            assert!(text.contains("Seen as"), "how {code} is seen");
            let remedy = ["**Do:**", "**So that it does not happen again:**"];
            assert!(remedy.iter().any(|words| text.contains(words)), "what to do about {code}");
        }
    }

    #[test]
    fn codes_are_in_kebab_case() {
        for code in codes() {
            let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
            assert!(code.split('-').all(is_word), "{code}");
        }
    }

    #[test]
    fn every_link_within_the_runbook_leads_to_a_heading() {
        let anchor = |heading: &str| -> String {
            let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
        };
        let anchors: BTreeSet<String> = headings().map(anchor).collect();
        for link in RUNBOOK.split("](#").skip(1) {
            let target = link.split(')').next().unwrap_or_default();
            assert!(anchors.contains(target), "#{target}");
        }
    }
}
