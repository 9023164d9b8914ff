//! The entries of one register by several replicas are found together.

use causeway_domain::names::GroupName;

use crate::support::Store;

#[tokio::test]
async fn the_store_finds_the_rivals_of_an_entry() {
    let (left, right) = tokio::join!(Store::create(1), Store::create_ahead(2, 60_000));
    let (left, right) = tokio::join!(left.open(), right.open());
    left.join("lobby", "anna").await;
    left.join("lobby", "bert").await;
    right.pull_from(&left).await;
    left.leave("lobby", "anna").await;
    left.leave("attic", "anna").await;
    right.join("lobby", "anna").await;
    left.pull_from(&right).await;

    let lobby = GroupName::parse("lobby").unwrap();
    let all = left.timelines.group_entries(&lobby, 0, 100, 100);
    let (all, _) = all.await.unwrap();
    let winner = all.last().unwrap();
    let rivals = left.timelines.rivals(&[winner], &[], 0).await.unwrap();

    let arrivals: Vec<i64> = rivals.iter().map(|rival| rival.offset).collect();
    assert_eq!(arrivals, [1, 3, 5]);
}
