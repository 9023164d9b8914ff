//! What is shown of the cluster: how to use it, and the table of `status`, made of what each replica
//! says of itself.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use serde_json::Value;

/// How a replica's process is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// Started, not yet serving.
    Starting,
    /// Serving.
    Up,
    /// Killed by the person, or stopping.
    Down,
    /// Ended by itself.
    Ended(String),
}

/// One line of the table.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) number: u16,
    /// Its URL.
    pub(super) public: String,
    pub(super) condition: Condition,
    /// What it answered about itself, where it did.
    pub(super) view: Option<Value>,
    /// The replicas it cannot call, or that cannot call it, because the link is cut.
    pub(super) cut_from: Vec<u16>,
}

/// Says what to do with a cluster that stands.
pub(super) fn welcome(
    addresses: &[(u16, SocketAddr)],
    ca: Option<&Path>,
    took: Duration,
) -> String {
    let scheme = if ca.is_some() { "https" } else { "http" };
    let mut text = format!(
        "\n{} replicas are ready after {:.1} s.\n\n",
        addresses.len(),
        took.as_secs_f64()
    );
    for (number, public) in addresses {
        let _ = writeln!(
            text,
            "  replica {number}   {scheme}://{public}   try the API: {scheme}://{public}/docs"
        );
    }
    text.push_str("\nChat, in other terminals:\n");
    let ends = [addresses.first(), addresses.get(1..).and_then(<[_]>::last)];
    for (_, public) in ends.into_iter().flatten() {
        let _ = match ca {
            Some(ca) => {
                let ca = ca.display();
                writeln!(text, "  cargo chat --server https://{public} --ca {ca}")
            }
            None => writeln!(text, "  cargo chat --server {public}"),
        };
    }
    let numbers: Vec<u16> = addresses.iter().map(|(number, _)| *number).collect();
    let (one, other) = numbers.split_at(numbers.len() / 2);
    text.push_str("\nHere: status");
    if let ([_, ..], [middle, ..]) = (one, other) {
        let _ = write!(
            text,
            "   cut {}|{}   heal   kill {middle}   start {middle}",
            joined(one),
            joined(other)
        );
    }
    text.push_str("   help   quit\n");
    text
}

/// Says how a process ended.
pub(super) fn how(status: &io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => format!("code {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "for no known reason".to_owned(),
        },
        Err(error) => error.to_string(),
    }
}

/// Draws the table.
pub(super) fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "replica  address                 state             holds                cut from\n",
    );
    for row in rows {
        let cut = if row.cut_from.is_empty() {
            "-".to_owned()
        } else {
            joined(&row.cut_from)
        };
        writeln!(
            text,
            "{:<8} {:<23} {:<17} {:<20} {cut}",
            row.number,
            row.public,
            state(row),
            vector(row.view.as_ref()),
        )
        .expect("writing to a String cannot fail");
    }
    text
}

fn state(row: &Row) -> String {
    match &row.condition {
        Condition::Starting => "starting".to_owned(),
        Condition::Up if row.view.is_none() => "does not answer".to_owned(),
        Condition::Up => "up".to_owned(),
        Condition::Down => "down".to_owned(),
        Condition::Ended(how) => format!("ended, {how}"),
    }
}

/// The vector as people write it: `[5,0,17,0,2]`.
fn vector(view: Option<&Value>) -> String {
    match view.map(|view| &view["self"]["vector"]) {
        Some(vector @ Value::Array(_)) => vector.to_string(),
        _ => "-".to_owned(),
    }
}

/// `1,2,3`.
pub(super) fn joined(numbers: &[u16]) -> String {
    numbers
        .iter()
        .map(u16::to_string)
        .collect::<Vec<_>>()
        .join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_welcome_names_only_replicas_that_exist() {
        let of = |count: u16| {
            let local = |number| (number, SocketAddr::from(([127, 0, 0, 1], 12000 + number)));
            welcome(
                &(1..=count).map(local).collect::<Vec<_>>(),
                None,
                Duration::from_secs(3),
            )
        };

        assert!(
            of(5).contains("cut 1,2|3,4,5   heal   kill 3   start 3"),
            "{}",
            of(5)
        );
        assert!(of(2).contains("cut 1|2   heal   kill 2"), "{}", of(2));
        assert!(of(1).ends_with("Here: status   help   quit\n"), "{}", of(1));
        assert_eq!(of(1).matches("cargo chat").count(), 1);
    }

    #[test]
    fn the_welcome_says_how_a_client_trusts_the_cluster() {
        let one = [(1, SocketAddr::from(([127, 0, 0, 1], 12001)))];

        let said = welcome(&one, Some(Path::new("/d/ca.crt")), Duration::ZERO);

        let chat = "cargo chat --server https://127.0.0.1:12001 --ca /d/ca.crt\n";
        assert!(said.contains(chat), "{said}");
        assert!(said.contains("https://127.0.0.1:12001/docs"), "{said}");
    }

    #[test]
    fn the_table_shows_state_vector_and_cuts() {
        let up = Row {
            number: 1,
            public: "http://127.0.0.1:12001".to_owned(),
            condition: Condition::Up,
            view: Some(json!({"self": {"vector": [5, 0, 17]}})),
            cut_from: vec![2, 3],
        };
        let killed = Row {
            number: 2,
            condition: Condition::Down,
            view: None,
            cut_from: vec![],
            ..up.clone()
        };
        let silent = Row {
            number: 3,
            condition: Condition::Up,
            ..killed.clone()
        };

        let table = table(&[up, killed, silent]);

        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(
            lines[1],
            "1        http://127.0.0.1:12001  up                [5,0,17]             2,3"
        );
        assert!(
            lines[2].contains("down") && lines[2].ends_with('-'),
            "{table}"
        );
        assert!(lines[3].contains("does not answer"), "{table}");
    }
}
