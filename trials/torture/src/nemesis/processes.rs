//! Faults of processes: servers and databases killed, stopped, paused, restarted.

use std::time::Duration;

use rustix::process::Signal;

use super::{Failed, Nemesis};
use crate::kinds::Kind;

impl Nemesis {
    pub(super) async fn harm_process(&mut self, kind: Kind) -> Result<(), Failed> {
        match kind {
            Kind::Rolling => return self.roll().await,
            Kind::NewKey => return self.exchange_key().await,
            Kind::Blackout => return self.black_out().await,
            _ => {}
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
            Kind::KillLoop => {
                replica.kill(&cluster.network);
                for _ in 0..self.rng.between(4, 12) {
                    let lives = self.rng.between(20, 1_500);
                    replica.start_and_kill(Duration::from_millis(lives)).await?;
                }
                replica.start(&cluster.network, true).await?;
            }
            Kind::PauseServer | Kind::LongPause => {
                let (low_ms, high_ms) = if kind == Kind::PauseServer {
                    (500, 9_000)
                } else {
                    (32_000, 45_000)
                };
                replica.signal_server(Signal::STOP);
                self.hold_between(low_ms, high_ms).await;
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

    /// Kills all servers and databases at once, and starts them concurrently.
    async fn black_out(&mut self) -> Result<(), Failed> {
        let cluster = self.cluster.clone();
        self.begin(Kind::Blackout, "all replicas");
        for number in cluster.numbers() {
            let mut replica = cluster.replica(number).await;
            replica.signal_postgres(Signal::KILL);
            replica.kill(&cluster.network);
        }
        self.hold_between(0, 2_000).await;
        Ok(cluster.start_all().await?)
    }

    /// Stops and starts all replicas, one after the other, as an upgrade does.
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

    /// Rotates the key as an operator does: first all replicas accept the new one, then all sign
    /// with it. The next rotation removes the former one.
    async fn exchange_key(&mut self) -> Result<(), Failed> {
        let cluster = self.cluster.clone();
        self.begin(Kind::NewKey, "all replicas");
        let fresh = format!(
            "a key for torture, {:016x}{:016x}",
            self.rng.next(),
            self.rng.next()
        );
        let former = cluster.replica(1).await.key().to_owned();
        for (key, previous) in [(&former, &fresh), (&fresh, &former)] {
            for number in cluster.numbers() {
                let mut replica = cluster.replica(number).await;
                replica.stop(&cluster.network).await?;
                replica.set_keys(key, Some(previous));
                replica.start(&cluster.network, true).await?;
            }
        }
        Ok(())
    }
}
