//! Matching of one name against one glob.

/// Whether `glob` matches the whole of `name`: `*` stands for any run of characters, `?` for exactly one, and every
/// other character for itself.
///
/// On a mismatch the search goes back only to the latest `*`, since an earlier one could not do better: that bounds
/// the work by pattern length times name length.
pub(crate) fn matches(glob: &str, name: &str) -> bool {
    let glob: Vec<char> = glob.chars().collect();
    let name: Vec<char> = name.chars().collect();
    let (mut at_glob, mut at_name) = (0, 0);
    let mut latest_star: Option<(usize, usize)> = None;

    while at_name < name.len() {
        match glob.get(at_glob) {
            Some('*') => {
                latest_star = Some((at_glob, at_name));
                at_glob += 1;
            }
            Some(c) if *c == '?' || *c == name[at_name] => {
                at_glob += 1;
                at_name += 1;
            }
            _ => match latest_star {
                Some((star, taken)) => {
                    latest_star = Some((star, taken + 1));
                    at_glob = star + 1;
                    at_name = taken + 1;
                }
                None => return false,
            },
        }
    }
    glob[at_glob..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_glob_matches_the_whole_name_and_only_that() {
        let table = [
            ("orders", "orders", true),
            ("orders", "orders2", false),
            ("orders", "order", false),
            ("orders", "Orders", false),
            ("*", "", true),
            ("*", "anything", true),
            ("", "", true),
            ("", "a", false),
            ("ord*", "orders", true),
            ("*ers", "orders", true),
            ("o*d*s", "orders", true),
            ("o*x*s", "orders", false),
            ("*a*b", "aab", true),
            ("*ab", "aaab", true),
            ("?", "é", true),
            ("?", "", false),
            ("??", "a", false),
            ("t_?", "t_1", true),
            ("_t_gho", "xtxgho", false),
            ("a%", "ab", false),
        ];
        for (glob, name, expected) in table {
            assert_eq!(matches(glob, name), expected, "{glob:?} on {name:?}");
        }
    }

    /// The definition, written as plainly as possible; exponential, so only for short inputs.
    fn by_definition(glob: &[char], name: &[char]) -> bool {
        match glob.split_first() {
            None => name.is_empty(),
            Some(('*', rest)) => (0..=name.len()).any(|taken| by_definition(rest, &name[taken..])),
            Some((c, rest)) => {
                name.split_first().is_some_and(|(n, tail)| (*c == '?' || c == n) && by_definition(rest, tail))
            }
        }
    }

    proptest! {
        #[test]
        fn matching_agrees_with_the_definition(glob in "[ab*?]{0,8}", name in "[ab]{0,10}") {
            let (g, n): (Vec<char>, Vec<char>) = (glob.chars().collect(), name.chars().collect());
            prop_assert_eq!(matches(&glob, &name), by_definition(&g, &n));
        }
    }
}
