//! From OpenMetrics to the older text format of Prometheus.
//!
//! They differ in little: the older one names a counter in HELP and TYPE as in its samples, with `_total`, and knows
//! neither UNIT nor EOF. <https://prometheus.io/docs/instrumenting/exposition_formats/>

/// The same metrics in the older format.
pub(super) fn from_openmetrics(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line.starts_with("# UNIT ") || line == "# EOF" {
            continue;
        }
        // HELP stands directly before TYPE, which alone says whether this is a counter.
        let of_counter = match line.split_once(' ').map(|(_, rest)| rest.split_once(' ')) {
            Some(Some(("HELP", _))) => lines.peek().is_some_and(|next| is_counter(next)),
            _ => is_counter(line),
        };
        match line.splitn(4, ' ').collect::<Vec<_>>()[..] {
            ["#", keyword, name, rest] if of_counter => {
                out.extend(["# ", keyword, " ", name, "_total ", rest]);
            }
            _ => out.push_str(line),
        }
        out.push('\n');
    }
    out
}

fn is_counter(line: &str) -> bool {
    line.starts_with("# TYPE ") && line.ends_with(" counter")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_named_with_total_and_units_and_the_end_are_left_out() {
        let open = "# HELP a_seconds How long.\n# TYPE a_seconds counter\n# UNIT a_seconds seconds\na_seconds_total{x=\"# EOF\"} 1\n\
                    # HELP b A counter of things.\n# TYPE b gauge\nb 2\n# EOF\n";
        let classic = "# HELP a_seconds_total How long.\n# TYPE a_seconds_total counter\na_seconds_total{x=\"# EOF\"} 1\n\
                       # HELP b A counter of things.\n# TYPE b gauge\nb 2\n";
        assert_eq!(from_openmetrics(open), classic);
    }
}
