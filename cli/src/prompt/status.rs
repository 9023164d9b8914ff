//! Pure: the status row, which is always in view above the line editor.

/// The content of the status row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// The connected replica.
    pub replica: Option<u64>,
    /// The number of replicas, if known.
    pub replicas: Option<usize>,
    /// The replicas that the connected one does not reach.
    pub unreached: Vec<u64>,
    /// The number of own messages not sent yet.
    pub unsent: usize,
}

impl Status {
    /// Whether something needs attention.
    pub(super) fn is_worrying(&self) -> bool {
        self.replica.is_none() || !self.unreached.is_empty() || self.unsent > 0
    }

    /// The longest form that fits into `columns`.
    pub(super) fn text(&self, columns: usize) -> String {
        let unreached: Vec<_> = self.unreached.iter().map(u64::to_string).collect();
        let reached = self
            .replicas
            .filter(|_| self.replica.is_some())
            .map(|all| format!("{}/{all}", all.saturating_sub(unreached.len())));
        let unsent = self.unsent;
        let long = match (self.replica, &reached) {
            (None, _) => "no server".to_owned(),
            (Some(replica), None) => format!("replica {replica}"),
            (Some(replica), Some(reached)) => format!("replica {replica} · {reached} servers up"),
        };
        let short = match (self.replica, &reached) {
            (None, _) => "none".to_owned(),
            (Some(replica), None) => format!("r{replica}"),
            (Some(replica), Some(reached)) => format!("r{replica} {reached}"),
        };
        let cut = if unreached.is_empty() || reached.is_none() {
            String::new()
        } else {
            format!(" (not {})", unreached.join(", "))
        };
        let forms = [
            format!("─ {long}{cut} · {unsent} unsent"),
            format!("─ {long} · {unsent} unsent"),
            format!("─ {short} {unsent} unsent"),
            format!("─ {short} +{unsent}"),
            format!("{short} +{unsent}"),
        ];
        let fits = forms.iter().find(|form| form.chars().count() <= columns);
        match fits {
            Some(form) => form.clone(),
            None => forms[4].chars().take(columns).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> Status {
        Status {
            replica: Some(1),
            replicas: Some(5),
            unreached: vec![],
            unsent: 0,
        }
    }

    #[test]
    fn it_names_the_replica_how_many_are_up_and_what_is_unsent() {
        assert_eq!(status().text(80), "─ replica 1 · 5/5 servers up · 0 unsent");
        assert_eq!(status().text(20), "─ r1 5/5 0 unsent");
        assert_eq!(status().text(10), "r1 5/5 +0");
        assert!(!status().is_worrying());
    }

    #[test]
    fn a_partition_and_a_lost_server_are_named() {
        let cut = Status {
            unreached: vec![3, 4],
            unsent: 2,
            ..status()
        };
        assert_eq!(
            cut.text(80),
            "─ replica 1 · 3/5 servers up (not 3, 4) · 2 unsent"
        );
        assert_eq!(cut.text(40), "─ replica 1 · 3/5 servers up · 2 unsent");
        let lost = Status {
            replica: None,
            ..cut
        };
        assert_eq!(lost.text(80), "─ no server · 2 unsent");
        assert!(lost.is_worrying());
    }

    #[test]
    fn it_never_takes_more_columns_than_there_are() {
        for columns in 0..60 {
            assert!(status().text(columns).chars().count() <= columns);
        }
    }
}
