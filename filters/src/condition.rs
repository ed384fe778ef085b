//! Conditions on the values of a row: `country = 'DE'`, `amount >= 10.5`, `deleted_at IS NULL`.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use transaction::binlog::Value;

/// A condition on one column. A row passes if all conditions of its filter hold; NULL fulfils none but `IS NULL`.
///
/// Text compares exactly, byte by byte, and only for equality; numbers by value; dates and times as they are written, a
/// TIMESTAMP in UTC; the member of an ENUM by its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    column: String,
    test: Test,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    Null(bool),
    Compare(Operator, Literal),
    In(Vec<Literal>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Literal {
    Text(String),
    /// As it was written.
    Number(String),
}

/// Why a text is no condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no condition: {reason}; write such as \"country = 'DE'\", \"amount >= 10\", \"state IN ('a', 'b')\" or \"gone IS NULL\""
)]
pub struct InvalidCondition {
    text: String,
    reason: &'static str,
}

/// Why a condition does not fit a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unfit;

impl Condition {
    /// The column.
    pub fn column(&self) -> &str {
        &self.column
    }

    /// Whether a value fulfils it.
    pub(crate) fn holds(&self, value: &Value) -> Result<bool, Unfit> {
        match (&self.test, value) {
            (Test::Null(wanted), value) => Ok(*wanted == (*value == Value::Null)),
            (_, Value::Null) => Ok(false),
            (Test::Compare(operator, literal), value) => {
                Ok(operator.holds(literal.compare(value, *operator)?))
            }
            (Test::In(literals), value) => {
                for literal in literals {
                    if literal.compare(value, Operator::Equal)? == Ordering::Equal {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }
}

impl Operator {
    fn holds(self, found: Ordering) -> bool {
        match self {
            Self::Equal => found.is_eq(),
            Self::NotEqual => found.is_ne(),
            Self::Less => found.is_lt(),
            Self::LessOrEqual => found.is_le(),
            Self::Greater => found.is_gt(),
            Self::GreaterOrEqual => found.is_ge(),
        }
    }

    fn is_order(self) -> bool {
        !matches!(self, Self::Equal | Self::NotEqual)
    }
}

impl Literal {
    /// How the value stands to the literal.
    fn compare(&self, value: &Value, operator: Operator) -> Result<Ordering, Unfit> {
        match (self, value) {
            (
                Self::Number(number),
                Value::Int(_) | Value::UInt(_) | Value::Year(_) | Value::Bit(_) | Value::Decimal(_),
            ) => {
                let value = match value {
                    Value::Int(value) => value.to_string(),
                    Value::UInt(value) | Value::Bit(value) => value.to_string(),
                    Value::Year(value) => value.to_string(),
                    Value::Decimal(value) => value.clone(),
                    _ => return Err(Unfit),
                };
                Ok(compare_decimals(&value, number))
            }
            (Self::Number(number), Value::Float(_) | Value::Double(_)) => {
                let value = match value {
                    Value::Float(value) => f64::from(*value),
                    Value::Double(value) => *value,
                    _ => return Err(Unfit),
                };
                let number: f64 = number.parse().map_err(|_| Unfit)?;
                value.partial_cmp(&number).ok_or(Unfit)
            }
            (Self::Text(text), Value::Date(value) | Value::DateTime(value) | Value::Timestamp(value)) => {
                Ok(value.as_str().cmp(text))
            }
            (Self::Text(text), Value::Text(value) | Value::Time(value)) if !operator.is_order() => {
                Ok(value.as_str().cmp(text))
            }
            (Self::Text(text), Value::Enum { label, .. }) if !operator.is_order() => {
                Ok(label.as_str().cmp(text))
            }
            _ => Err(Unfit),
        }
    }
}

/// Compares decimal numbers of any length as they are written: sign, digits, point, digits.
fn compare_decimals(one: &str, other: &str) -> Ordering {
    let parts = |text: &str| {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let whole = whole.trim_start_matches('0').to_owned();
        let fraction = fraction.trim_end_matches('0').to_owned();
        let zero = whole.is_empty() && fraction.is_empty();
        (negative && !zero, whole, fraction)
    };
    let ((one_negative, one_whole, one_fraction), (other_negative, other_whole, other_fraction)) =
        (parts(one), parts(other));
    let sizes = || {
        one_whole
            .len()
            .cmp(&other_whole.len())
            .then_with(|| one_whole.cmp(&other_whole))
            .then_with(|| one_fraction.cmp(&other_fraction))
    };
    match (one_negative, other_negative) {
        (false, false) => sizes(),
        (true, true) => sizes().reverse(),
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
    }
}

impl FromStr for Condition {
    type Err = InvalidCondition;

    fn from_str(text: &str) -> Result<Self, InvalidCondition> {
        let fail = |reason| InvalidCondition { text: text.to_owned(), reason };
        let mut rest = Rest(text.trim());
        let column = rest.name().ok_or_else(|| fail("it does not begin with a column's name"))?;
        let test = if rest.word("IS") {
            let wanted = !rest.word("NOT");
            match rest.word("NULL") {
                true => Test::Null(wanted),
                false => return Err(fail("NULL comes after IS or IS NOT")),
            }
        } else if rest.word("IN") {
            let mut literals = Vec::new();
            if !rest.sign("(") {
                return Err(fail("IN needs a list in parentheses"));
            }
            loop {
                literals.push(
                    rest.literal().ok_or_else(|| fail("a number or a text in single quotes is missing"))?,
                );
                if rest.sign(")") {
                    break;
                }
                if !rest.sign(",") {
                    return Err(fail("the list of IN does not end"));
                }
            }
            Test::In(literals)
        } else {
            let operators = [
                ("<=", Operator::LessOrEqual),
                (">=", Operator::GreaterOrEqual),
                ("<>", Operator::NotEqual),
                ("!=", Operator::NotEqual),
                ("=", Operator::Equal),
                ("<", Operator::Less),
                (">", Operator::Greater),
            ];
            let found = operators.into_iter().find(|(sign, _)| rest.sign(sign));
            let (_, operator) = found.ok_or_else(|| fail("no operator comes after the column"))?;
            let literal =
                rest.literal().ok_or_else(|| fail("a number or a text in single quotes is missing"))?;
            Test::Compare(operator, literal)
        };
        match rest.0.trim().is_empty() {
            true => Ok(Self { column, test }),
            false => Err(fail("something follows it; several conditions are several entries of the list")),
        }
    }
}

/// What is left to read.
struct Rest<'a>(&'a str);

impl Rest<'_> {
    fn name(&mut self) -> Option<String> {
        if let Some(quoted) = self.0.strip_prefix('`') {
            let end = quoted.find('`')?;
            self.0 = quoted[end + 1..].trim_start();
            return Some(quoted[..end].to_owned());
        }
        let end =
            self.0.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$')).unwrap_or(self.0.len());
        let name = self.0[..end].to_owned();
        self.0 = self.0[end..].trim_start();
        (!name.is_empty()).then_some(name)
    }

    fn word(&mut self, word: &str) -> bool {
        let Some(head) = self.0.get(..word.len()) else { return false };
        let ends = !self.0[word.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_');
        let found = head.eq_ignore_ascii_case(word) && ends;
        if found {
            self.0 = self.0[word.len()..].trim_start();
        }
        found
    }

    fn sign(&mut self, sign: &str) -> bool {
        let Some(rest) = self.0.strip_prefix(sign) else { return false };
        self.0 = rest.trim_start();
        true
    }

    fn literal(&mut self) -> Option<Literal> {
        if let Some(mut quoted) = self.0.strip_prefix('\'') {
            let mut text = String::new();
            loop {
                let end = quoted.find('\'')?;
                text.push_str(&quoted[..end]);
                quoted = &quoted[end + 1..];
                match quoted.strip_prefix('\'') {
                    Some(rest) => {
                        text.push('\'');
                        quoted = rest;
                    }
                    None => break,
                }
            }
            self.0 = quoted.trim_start();
            return Some(Literal::Text(text));
        }
        let digits = self.0.strip_prefix(['-', '+']).unwrap_or(self.0);
        let len = digits.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(digits.len());
        let number = &self.0[..self.0.len() - digits.len() + len];
        let is_number = digits[..len].starts_with(|c: char| c.is_ascii_digit())
            && digits[..len].matches('.').count() <= 1;
        self.0 = self.0[number.len()..].trim_start();
        is_number.then(|| Literal::Number(number.to_owned()))
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let literal = |literal: &Literal| match literal {
            Literal::Text(text) => format!("'{}'", text.replace('\'', "''")),
            Literal::Number(number) => number.clone(),
        };
        write!(f, "`{}` ", self.column)?;
        match &self.test {
            Test::Null(true) => f.write_str("IS NULL"),
            Test::Null(false) => f.write_str("IS NOT NULL"),
            Test::In(all) => write!(f, "IN ({})", all.iter().map(literal).collect::<Vec<_>>().join(", ")),
            Test::Compare(operator, value) => {
                let sign = match operator {
                    Operator::Equal => "=",
                    Operator::NotEqual => "<>",
                    Operator::Less => "<",
                    Operator::LessOrEqual => "<=",
                    Operator::Greater => ">",
                    Operator::GreaterOrEqual => ">=",
                };
                write!(f, "{sign} {}", literal(value))
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn holds(condition: &str, value: &Value) -> Result<bool, Unfit> {
        condition.parse::<Condition>().unwrap().holds(value)
    }

    #[test]
    fn values_compare_as_their_types_do() {
        let text = |text: &str| Value::Text(text.into());
        for (condition, value, want) in [
            ("c = 'DE'", text("DE"), true),
            ("c = 'DE'", text("de"), false),
            ("c <> 'it''s'", text("it's"), false),
            ("c IN ('a', 'b')", text("b"), true),
            ("c in ('a','b')", text("c"), false),
            ("n >= 10", Value::Int(10), true),
            ("n >= 10", Value::Int(9), false),
            ("n < -2.5", Value::Decimal("-2.51".into()), true),
            ("n = 2.50", Value::Decimal("2.5".into()), true),
            ("n > 18446744073709551614", Value::UInt(u64::MAX), true),
            ("n > -0", Value::Int(0), false),
            ("n <= 1.5", Value::Double(1.5), true),
            ("d >= '2024-01-01'", Value::DateTime("2024-01-01 00:00:00".into()), true),
            ("e = 'x'", Value::Enum { ordinal: 1, label: "x".into() }, true),
            ("x IS NULL", Value::Null, true),
            ("x IS NOT NULL", Value::Null, false),
            ("x IS NOT NULL", Value::Int(1), true),
            ("x = 1", Value::Null, false),
            ("x <> 1", Value::Null, false),
        ] {
            assert_eq!(holds(condition, &value), Ok(want), "{condition} {value:?}");
        }
        assert_eq!(holds("c < 'DE'", &text("A")), Err(Unfit), "the order of text is a collation's");
        assert_eq!(holds("c = 1", &text("1")), Err(Unfit));
        assert_eq!(holds("n = '1'", &Value::Int(1)), Err(Unfit));
    }

    #[test]
    fn a_condition_reads_back_as_it_is_shown_and_others_are_refused() {
        for text in ["a = 1", "`odd name` <> 'x''y'", "n IN (1, -2.5, 'three')", "x is not null", "x>=0"] {
            let condition: Condition = text.parse().unwrap();
            assert_eq!(condition.to_string().parse::<Condition>().unwrap(), condition, "{text}");
        }
        for text in [
            "",
            "a",
            "a =",
            "a = b",
            "a = 'x",
            "a = 1 AND b = 2",
            "a IN ()",
            "a IS 1",
            "a = 1.2.3",
            "= 1",
            "a ~ 1",
        ] {
            assert!(text.parse::<Condition>().is_err(), "{text}");
        }
    }
}
