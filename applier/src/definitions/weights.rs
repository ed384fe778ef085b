//! How the server weighs texts: asked of it, and kept.

use mysql_async::prelude::*;
use mysql_async::{Conn, Error, Row};
use transaction::Weights;
use transaction::key::{ALPHABET, Collation, LOCAL_COLLATIONS, Need};

use crate::shared::Shared;

/// Reads the server's collations, and compares for each of [`LOCAL_COLLATIONS`] its weight of the alphabet with the
/// weights of the letters.
pub async fn read_weights(conn: &mut Conn) -> Result<Weights, Error> {
    let rows: Vec<(u64, String, String, String)> = conn
        .query(
            "SELECT ID, COLLATION_NAME, CHARACTER_SET_NAME, PAD_ATTRIBUTE FROM information_schema.COLLATIONS",
        )
        .await?;
    let mut weights = Weights::new(rows.into_iter().map(|(id, name, charset, pad)| Collation {
        id: id as u16,
        name,
        charset,
        pad_space: pad == "PAD SPACE",
    }));
    for name in LOCAL_COLLATIONS {
        let Some(collation) = weights.collation_named(name).cloned() else { continue };
        let mut texts: Vec<Vec<u8>> = ALPHABET.iter().map(|character| vec![*character]).collect();
        texts.push(ALPHABET.to_vec());
        let needs: Vec<Need> = texts.into_iter().map(|text| Need { collation: collation.id, text }).collect();
        let question = weight_question(&weights, &needs);
        let mut answers = ask_weights(conn, &question, &needs).await?;
        if let Some((_, whole)) = answers.pop() {
            let each: Vec<Vec<u8>> = answers.into_iter().map(|(_, weight)| weight).collect();
            weights.learn_alphabet(collation.id, &each, &whole);
        }
    }
    Ok(weights)
}

/// The statement that asks for the weights of texts; empty if there are none.
pub fn weight_question(weights: &Weights, needs: &[Need]) -> String {
    let columns: Vec<String> = needs
        .iter()
        .filter_map(|need| {
            let collation = weights.collation(need.collation)?;
            let hex: String = need.text.iter().map(|byte| format!("{byte:02x}")).collect();
            Some(format!("WEIGHT_STRING(_{} x'{hex}' COLLATE {})", collation.charset, collation.name))
        })
        .collect();
    if columns.is_empty() { String::new() } else { format!("SELECT {}", columns.join(", ")) }
}

/// Asks [`weight_question`]; the answers come in the order of `needs`.
pub async fn ask_weights(
    conn: &mut Conn,
    question: &str,
    needs: &[Need],
) -> Result<Vec<(Need, Vec<u8>)>, Error> {
    if question.is_empty() {
        return Ok(Vec::new());
    }
    let row: Option<Row> = conn.query_first(question).await?;
    let values = row.map(Row::unwrap).unwrap_or_default();
    if values.len() != needs.len() {
        let reason = format!("the server gave {} weights for {} texts", values.len(), needs.len());
        return Err(Error::Other(reason.into()));
    }
    needs
        .iter()
        .zip(values)
        .map(|(need, value)| match value {
            mysql_async::Value::Bytes(weight) => Ok((need.clone(), weight)),
            _ => Err(Error::Other(
                format!("the server gave no weight for a text under collation {}", need.collation).into(),
            )),
        })
        .collect()
}

/// Asks the server for the weights of texts, and keeps them in `shared`.
pub async fn learn(conn: &mut Conn, shared: &Shared, needs: Vec<Need>) -> Result<(), Error> {
    const AT_A_TIME: usize = 500;
    let mut answers = Vec::with_capacity(needs.len());
    for some in needs.chunks(AT_A_TIME) {
        let question = weight_question(&shared.weights.read(), some);
        answers.extend(ask_weights(conn, &question, some).await?);
    }
    shared.weights.write().learn(answers);
    Ok(())
}
