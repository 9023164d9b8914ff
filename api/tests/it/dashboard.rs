//! The dashboard in `docs/grafana.json`: every query finds its metric, every legend its label.

use serde_json::Value;

use crate::harness::Cluster;

#[tokio::test]
async fn every_query_of_the_dashboard_names_metrics_and_labels_that_a_replica_exports() {
    let cluster = Cluster::of(2).await;
    let metrics = cluster.at(1).door.get("/metrics").await.body;
    let dashboard = include_str!("../../../docs/grafana.json");
    let dashboard: Value = serde_json::from_str(dashboard).expect("it is JSON");

    let panels = dashboard["panels"].as_array().expect("a list");
    let targets = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().expect("a list"));
    let mut queries = 0;
    for target in targets {
        queries += 1;
        let query = target["expr"].as_str().expect("a text");
        let names: Vec<&str> = words(query)
            .filter(|it| it.starts_with("causeway_"))
            .collect();
        assert_eq!(names.len(), 1, "{query}");
        let samples: Vec<&str> = metrics
            .lines()
            .filter(|line| {
                let rest = line.strip_prefix(names[0]);
                rest.is_some_and(|rest| rest.starts_with([' ', '{']))
            })
            .collect();
        assert!(!samples.is_empty(), "no replica exports {}", names[0]);

        let legend = target["legendFormat"].as_str().expect("a text");
        let grouped = query.split_once("by (").map_or("", |(_, rest)| {
            rest.split_once(')').expect("a closed list").0
        });
        // Prometheus adds the instance.
        let labels = words(legend.split_once("{{").expect("a label").1).chain(words(grouped));
        for label in labels.filter(|label| ["kind", "peer", "setting"].contains(label)) {
            let has = |sample: &&str| sample.contains(&format!("{label}=\""));
            assert!(samples.iter().any(has), "{} has no {label}", names[0]);
        }
    }
    assert!(queries > 10, "{queries}");
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
}
