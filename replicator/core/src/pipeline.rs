//! The pull from one peer: at most one batch is asked for or stored at a time, and while one is
//! stored the next one is prefetched. So what waits in memory is bounded (F25).

use causeway_domain::version_vector::VersionVector;
use causeway_domain::writing::Absorbed;

use crate::prefetch::Prefetch;

#[derive(Debug, Default)]
pub(crate) struct Pipeline {
    pub pull: Option<Pull>,
    pub prefetch: Option<Prefetch>,
}

/// A pull under way.
#[derive(Debug)]
pub(crate) struct Pull {
    /// Beyond what it pulls.
    pub after: VersionVector,
    pub stage: Stage,
    /// What a prefetched batch showed of which nothing could be stored.
    pub found: Absorbed,
}

/// How far a pull has come.
#[derive(Debug)]
pub(crate) enum Stage {
    Asking {
        call: u64,
        /// The call began as a prefetch, beyond this.
        prefetched_after: Option<VersionVector>,
    },
    Storing {
        store: u64,
        /// The next batch is being prefetched.
        is_followed: bool,
        /// The batch was prefetched for fewer origins. Where nothing of it can be stored, it may wait
        /// for those that are to be asked for only now.
        is_narrow: bool,
    },
}

impl Pipeline {
    /// Takes the pull whose own call this is.
    pub fn take_asking(&mut self, ended: u64) -> Option<Pull> {
        let is_its =
            |pull: &mut Pull| matches!(pull.stage, Stage::Asking { call, .. } if call == ended);
        self.pull.take_if(is_its)
    }
}
