//! What a later version may send is understood as far as this version goes, and events are passed
//! on with all that this version does not know.

use causeway_domain::chain::Hash;
use causeway_replicator_core::wire::{Digest, PushAnswer, Refusal, events};
use serde_json::{Value, json};

/// An event of a later version: an unknown type, unknown fields in the frame, the stamp and the
/// event, written as nobody here would write it.
const EVENT: &str = r#"{ "seal":"x","stamp":{"hlc":65536,"origin":"2.9f3c07aa","seq":2,"past":{"2.9f3c07aa":1},"zone":7},"level":9,"aggregate":"poll","id":"p1","type":"PollOpened","at":5,"event":{"b":1e2,"a":[null]} }"#;

#[test]
fn an_event_of_a_later_version_is_passed_on_byte_for_byte() {
    let line = format!("{} {EVENT}\n", Hash::START.then(EVENT.as_bytes()));

    let relayed = events::decode(line.as_bytes());
    let again = events::decode(&events::encode(&relayed.events));

    assert_eq!((again.events.len(), again.flawed), (1, 0));
    assert_eq!(events::encode(&again.events), line.as_bytes());
    assert_eq!(again.events[0].envelope.level, 9);
}

#[test]
fn a_digest_of_a_later_version_is_understood() {
    let mut digest = frozen("digest_most");
    digest["protocol"] = json!([1, 7]);
    digest["load"] = json!({ "percent": 3 });
    digest["presence"]["typing"] = json!(["ann"]);
    digest["presence"]["held"]["of"] = json!(1);
    digest["presence"]["full"][0]["mood"] = json!("fine");

    let read = Digest::parse(digest.to_string().as_bytes()).unwrap();

    assert_eq!(read.protocol, [1, 7]);
    assert_eq!(read.presence.full.unwrap().len(), 1);
}

#[test]
fn the_answers_of_a_later_version_are_understood() {
    let mut answer = frozen("push_answer");
    answer["rejected"] = json!([]);
    let mut refusal = frozen("refused_protocol");
    refusal["see"] = json!("the release notes");
    let new_reason = json!({ "refused": "asleep", "until": 5 });

    let answer: PushAnswer = serde_json::from_value(answer).unwrap();
    let refusal: Refusal = serde_json::from_value(refusal).unwrap();
    let new_reason: Refusal = serde_json::from_value(new_reason).unwrap();

    assert_eq!(answer.n, 9);
    assert_eq!(refusal, Refusal::NoCommonProtocol { protocol: [1, 2] });
    assert_eq!(new_reason, Refusal::Unknown);
}

fn frozen(name: &str) -> Value {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wire/golden");
    let text = std::fs::read_to_string(format!("{folder}/{name}")).unwrap();
    serde_json::from_str(&text).unwrap()
}
