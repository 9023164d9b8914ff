//! Several replicas joined by links that can be cut one by one.

use causeway_rig::Network;
use causeway_rig::links::Link;
use serde_json::Value;

use super::{Certificates, Replica, User, all_at_once, eventually, texts};

/// A cluster whose replicas are numbered from 1, as in the contract. Every replica reaches every
/// other by a link of its own.
#[derive(Debug)]
pub struct Cluster {
    replicas: Vec<Replica>,
    network: Network,
}

impl Cluster {
    /// Starts this many replicas and waits until each sees all others up.
    pub async fn of(count: u16) -> Self {
        let mut cluster = Self::prepare(count).await;
        cluster.start().await;
        cluster.sees_itself_whole().await;
        cluster
    }

    /// Makes replicas and links; nothing runs yet, and settings can still be spoiled.
    pub async fn prepare(count: u16) -> Self {
        let mut replicas = Vec::new();
        for from in 1..=count {
            let mut replica = Replica::prepare().await;
            replica.settings.replica = from;
            replica.settings.replicas.clear();
            replicas.push(replica);
        }
        let numbers: Vec<u16> = (1..=count).collect();
        let network = Network::between(&numbers).await.expect("ports are free");
        let mut cluster = Self { replicas, network };
        for from in 1..=count {
            for to in 1..=count {
                cluster.name_to(from, to);
            }
        }
        cluster
    }

    /// Writes into one replica's settings by which link it reaches another.
    fn name_to(&mut self, from: u16, to: u16) {
        let internal = format!("http://{}", self.link(from, to).address());
        let public = format!("http://127.0.0.1:{}", 12000 + to);
        let replicas = &mut self.at_mut(from).settings.replicas;
        replicas.push((to, public, internal));
    }

    /// Makes one more replica and writes it into the settings of all others, who read them at
    /// their next start. Returns its number; it does not run yet.
    pub async fn grow(&mut self) -> u16 {
        let number = self.count() + 1;
        let mut newcomer = Replica::prepare().await;
        newcomer.settings.replica = number;
        newcomer.settings.replicas.clear();
        self.replicas.push(newcomer);
        self.network.add(number).await.expect("ports are free");
        for other in self.numbers() {
            self.name_to(number, other);
            if other != number {
                self.name_to(other, number);
                self.aim(other);
            }
        }
        number
    }

    /// Puts a machine with nothing on it in the place of a replica, which must not run.
    pub async fn replace(&mut self, number: u16) {
        let mut fresh = Replica::prepare().await;
        let former = &self.at(number).settings;
        fresh.settings.replica = number;
        fresh.settings.replicas.clone_from(&former.replicas);
        *self.at_mut(number) = fresh;
    }

    /// Strikes a replica out of the settings of these others, who read them at their next start.
    pub fn strike_out(&mut self, number: u16, others: &[u16]) {
        for &other in others {
            let replicas = &mut self.at_mut(other).settings.replicas;
            replicas.retain(|(id, ..)| *id != number);
        }
    }

    /// Stops a replica well and starts it again, as an upgrade or a new setting needs it.
    pub async fn roll(&mut self, number: u16) {
        self.at_mut(number).stop().await;
        self.restart(number).await;
    }

    /// Starts all replicas side by side.
    pub async fn start(&mut self) {
        all_at_once(self.replicas.iter_mut().map(Replica::restart)).await;
        for number in 1..=self.count() {
            self.aim(number);
        }
    }

    /// Replica number `number`.
    pub fn at(&self, number: u16) -> &Replica {
        &self.replicas[usize::from(number) - 1]
    }

    /// Replica number `number`, to spoil its settings.
    pub fn at_mut(&mut self, number: u16) -> &mut Replica {
        &mut self.replicas[usize::from(number) - 1]
    }

    /// How many replicas there are.
    pub fn count(&self) -> u16 {
        u16::try_from(self.replicas.len()).expect("clusters are small")
    }

    /// Has certificates issued for all replicas; none uses them yet.
    pub fn certificates(&self) -> Certificates {
        Certificates::of(self.replicas.iter().map(|replica| &replica.settings))
    }

    /// The numbers of all replicas.
    pub fn numbers(&self) -> Vec<u16> {
        (1..=self.count()).collect()
    }

    /// Kills a replica as `kill -9` does.
    pub fn kill9(&mut self, number: u16) {
        self.at_mut(number).kill9();
    }

    /// Starts a replica again and leads the links to where it is now.
    pub async fn restart(&mut self, number: u16) {
        self.at_mut(number).restart().await;
        self.aim(number);
    }

    /// The link by which one replica reaches another.
    pub fn link(&self, from: u16, to: u16) -> &Link {
        self.network.link(from, to)
    }

    /// Cuts every link between two sides, both ways.
    pub fn cut(&self, one: &[u16], other: &[u16]) {
        self.network.cut(&[one, other]);
    }

    /// Cuts one replica off from all others.
    pub fn isolate(&self, number: u16) {
        self.network.isolate(number);
    }

    /// Heals every link.
    pub fn heal(&self) {
        self.network.heal();
    }

    /// Logs one name in at every replica and joins a group with it, waiting until all replicas
    /// know the member, so that what follows can be done on any side of a cut.
    pub async fn member_everywhere(&self, name: &str, group: &str) -> Vec<User> {
        let user = self.at(1).member(name, group).await;
        let everywhere: Vec<User> = self.replicas.iter().map(|it| user.at(it)).collect();
        for user in &everywhere {
            eventually(&format!("{name} being a member everywhere"), async || {
                let answer = user.get(&format!("/v1/groups/{group}")).await;
                let is_there = answer.status == 200
                    && answer.json()["members"]
                        .as_array()
                        .is_some_and(|members| members.iter().any(|it| it["name"] == *name));
                if is_there { Ok(()) } else { Err(answer.body) }
            })
            .await;
        }
        everywhere
    }

    /// Waits until every replica reports every other as up.
    pub async fn sees_itself_whole(&self) {
        for replica in &self.replicas {
            let watcher = replica.user("watcher").await;
            eventually("every peer being up", async || {
                let view = watcher.view().await;
                let peers = view["peers"].as_array().expect("a list");
                let up = peers
                    .iter()
                    .filter(|peer| peer["status"] == "up" && peer["out"] == "ok");
                if up.count() + 1 == self.replicas.len() {
                    Ok(())
                } else {
                    Err(view.to_string())
                }
            })
            .await;
        }
    }

    /// Waits until all these replicas show the same history of a group with the given number of
    /// messages, and returns it.
    pub async fn agree(&self, numbers: &[u16], group: &str, count: usize) -> Vec<Value> {
        eventually("replicas agreeing", async || {
            let mut histories = Vec::new();
            for number in numbers {
                let reader = self.at(*number).user("reader").await;
                let history: Vec<Value> = reader
                    .history(group)
                    .await
                    .into_iter()
                    .map(without_what_may_differ)
                    .collect();
                if history.len() != count {
                    return Err(format!("replica {number} shows {:?}", texts(&history)));
                }
                histories.push(history);
            }
            if histories.windows(2).all(|pair| pair[0] == pair[1]) {
                Ok(histories.swap_remove(0))
            } else {
                Err(format!(
                    "{:?}",
                    histories.iter().map(|it| texts(it)).collect::<Vec<_>>()
                ))
            }
        })
        .await
    }

    /// Waits until all replicas show the newest messages of a group byte for byte alike: when
    /// everything is stored everywhere and settled, nothing may differ any more.
    pub async fn show_the_same_bytes(&self, group: &str) {
        eventually("equal bytes everywhere", async || {
            let mut pages = Vec::new();
            for replica in &self.replicas {
                pages.push(replica.user("reader").await.raw_messages(group).await);
            }
            if pages.windows(2).all(|pair| pair[0] == pair[1]) {
                Ok(())
            } else {
                Err(pages.join("\n"))
            }
        })
        .await;
    }

    fn aim(&self, number: u16) {
        if let Some(internal) = self.at(number).internal() {
            self.network.aim(number, internal);
        }
    }
}

/// A message without the fields in which replicas and readers may differ for a while.
fn without_what_may_differ(mut message: Value) -> Value {
    let fields = message.as_object_mut().expect("a message");
    for field in ["stored_on", "settled", "liked"] {
        assert!(fields.remove(field).is_some(), "a message has `{field}`");
    }
    message
}
