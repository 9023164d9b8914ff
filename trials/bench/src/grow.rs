//! B12 and B9: whether costs grow with the amount of existing data.

use crate::load::{Poster, post, posters};
use crate::made::{History, LARGE};
use crate::process::resident_bytes;
use crate::readers::Readers;
use crate::replica::{Cluster, Replica};
use crate::report::{Goal, Line, paired};
use crate::setup::Setup;
use crate::start::megabytes;
use crate::write::{CONNECTIONS, GROUPS};

pub async fn run(setup: &Setup, history: &History) -> anyhow::Result<Vec<Line>> {
    let folder = setup.folder("grow")?;
    let empty = Cluster::plan(folder.path(), 1)?.start(0).await?;
    let grown = history.cluster.start(0).await?;
    let at_empty = posters(empty.public, "grow", CONNECTIONS, GROUPS).await?;
    let at_grown = posters(grown.public, "grow", CONNECTIONS, GROUPS).await?;
    let compare = Compare {
        setup,
        empty: &empty,
        grown: &grown,
        at_empty: &at_empty,
    };
    let events = history.events;
    let mut lines = vec![
        compare
            .line(&format!("{events} messages there"), &at_grown)
            .await?,
    ];
    let memory = [&empty, &grown].map(|replica| resident_bytes(replica.pid()));
    let [of_empty, of_grown] = memory;
    lines.push(paired(
        "B9",
        format!("memory with {events} messages, after the same load; with nothing"),
        "MB",
        &[(megabytes(of_grown?), megabytes(of_empty?))],
        Goal::at_most(1.1, 1.0),
    ));

    let groups = setup.sizes.groups;
    eprintln!("grow: making {groups} groups");
    let of_many = posters(grown.public, "many", CONNECTIONS, groups).await?;
    let what = format!("the posts going to {groups} groups in turn");
    lines.push(compare.line(&what, &of_many).await?);

    let online = setup.sizes.online;
    eprintln!("grow: {online} users come online");
    let crowd = posters(grown.public, LARGE, online, 1).await?;
    let readers = Readers::open(grown.public, &crowd)?;
    let what = format!("{online} users online in another group");
    lines.push(compare.line(&what, &at_grown).await?);
    drop(readers);
    empty.stop().await?;
    grown.stop().await?;
    Ok(lines)
}

struct Compare<'a> {
    setup: &'a Setup,
    empty: &'a Replica,
    grown: &'a Replica,
    at_empty: &'a [Poster],
}

impl Compare<'_> {
    async fn line(&self, what: &str, at_grown: &[Poster]) -> anyhow::Result<Line> {
        let (mut pairs, load) = (Vec::new(), self.setup.load);
        for run in 0..self.setup.runs {
            eprintln!("grow: {what}, run {} of {}", run + 1, self.setup.runs);
            let theirs = post(self.empty.public, self.at_empty, load).await?;
            let ours = post(self.grown.public, at_grown, load).await?;
            pairs.push((ours.per_second, theirs.per_second));
        }
        let what = format!("B1 with {what}; on an empty database");
        Ok(paired("B12", what, "/s", &pairs, Goal::at_least(0.8, 0.95)))
    }
}
