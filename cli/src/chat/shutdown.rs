//! Shutdown: unsent messages get a last chance, and what remains is reported.

use std::time::Duration;

use tokio::time::Instant;

use super::{Chat, Connection, TICK};

/// How long shutdown waits for answers when the input is a pipe.
const LAST_CHANCE: Duration = Duration::from_secs(10);
/// How long it waits when a person is watching.
const LAST_CHANCE_SEEN: Duration = Duration::from_secs(2);

impl Chat {
    pub(super) async fn shut_down(&mut self) {
        let deadline = Instant::now()
            + if self.output.is_terminal() {
                LAST_CHANCE_SEEN
            } else {
                LAST_CHANCE
            };
        while self.unsent_here() > 0 && Instant::now() < deadline {
            tokio::select! {
                Some(report) = self.incoming.recv() => self.handle_report(report).await,
                () = tokio::time::sleep(TICK / 4) => self.maintain_connection().await,
            }
        }
        while let Ok(report) = self.incoming.try_recv() {
            self.handle_report(report).await;
        }
        let unsent = self.unsent_here();
        if unsent > 0 {
            let kept = match &self.state.user {
                Some(user) if self.is_durable() => {
                    format!("; kept, and sent when causeway runs again as {user}")
                }
                _ => " and not kept: no server answered".to_owned(),
            };
            self.report_failure(&format!("{unsent} not sent{kept}"));
        }
        self.tasks.clear();
        if let Connection::LoggedIn(client) = &self.connection {
            // The program exits whether or not the server receives this.
            let _ = tokio::time::timeout(TICK, client.log_out()).await;
        }
    }

    /// The number of unsent messages for this cluster.
    fn unsent_here(&self) -> usize {
        let cluster = self.state.cluster.as_deref();
        self.outbox.borrow().len_for(cluster)
    }
}
