//! How a certificate names a replica: by its number, because its host may change.

use causeway_domain::ids::ReplicaId;

/// Returns the DNS name that the certificate of a replica has for its peers. It is in no zone: only
/// certificates of the cluster's own authority carry it.
pub fn certificate_name(replica: ReplicaId) -> String {
    format!("replica-{replica}.causeway")
}

/// Returns the replica that a DNS name of a certificate stands for.
pub fn replica_named(name: &str) -> Option<ReplicaId> {
    let number = name
        .strip_prefix("replica-")?
        .strip_suffix(".causeway")?
        .parse()
        .ok()?;
    let replica = ReplicaId::new(number)?;
    (certificate_name(replica) == name).then_some(replica)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_one_number_and_has_one_form() {
        for number in [1, 12, u16::MAX] {
            let replica = ReplicaId::new(number).unwrap();
            assert_eq!(replica_named(&certificate_name(replica)), Some(replica));
        }
        for wrong in [
            "replica-0.causeway",
            "replica-01.causeway",
            "replica-+1.causeway",
            "replica-65536.causeway",
            "replica-1.causeway.example",
            "a.replica-1.causeway",
            "",
        ] {
            assert_eq!(replica_named(wrong), None, "{wrong}");
        }
    }
}
