//! Servers and databases killed, stopped, made to stand still, restarted.

use rustix::process::Signal;

use super::{Failed, Nemesis};
use crate::kinds::Kind;

impl Nemesis {
    pub(super) async fn harm_process(&mut self, kind: Kind) -> Result<(), Failed> {
        if kind == Kind::Rolling {
            return self.roll().await;
        }
        let cluster = self.cluster.clone();
        let mut replica = self.any_replica()?;
        self.begin(kind, format!("replica {}", replica.number()));
        match kind {
            Kind::KillServer => {
                replica.kill(&cluster.network);
                self.hold_between(0, 6_000).await;
                replica.start(&cluster.network, true).await?;
            }
            Kind::KillBoth => {
                replica.signal_postgres(Signal::KILL);
                replica.kill(&cluster.network);
                self.hold_between(0, 6_000).await;
                replica.start(&cluster.network, true).await?;
            }
            Kind::KillPostgres => {
                for _ in 0..self.rng.between(1, 3) {
                    replica.signal_postmaster(Signal::KILL);
                    self.hold_between(500, 3_000).await;
                }
            }
            Kind::RestartPostgres => {
                for _ in 0..self.rng.between(2, 5) {
                    replica.signal_postmaster(Signal::INT);
                    self.hold_between(1_500, 4_000).await;
                }
            }
            Kind::PauseServer => {
                replica.signal_server(Signal::STOP);
                self.hold_between(500, 9_000).await;
                replica.signal_server(Signal::CONT);
            }
            _ => {
                replica.signal_postgres(Signal::STOP);
                self.hold_between(500, 9_000).await;
                replica.signal_postgres(Signal::CONT);
            }
        }
        Ok(())
    }

    /// Stops and starts all, one after the other, as an upgrade does.
    async fn roll(&mut self) -> Result<(), Failed> {
        let cluster = self.cluster.clone();
        self.begin(Kind::Rolling, "all replicas");
        for number in cluster.numbers() {
            let mut replica = cluster.replica(number).await;
            replica.stop(&cluster.network).await?;
            replica.start(&cluster.network, true).await?;
        }
        Ok(())
    }
}
