//! Looks after a running stack: what crashed is reported and started again, with a growing pause. Not for tests that crash things
//! themselves.

use std::time::{Duration, Instant};

use super::Stack;
use crate::local::Say;

const LOOK_EVERY: Duration = Duration::from_millis(100);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Who ran this long has recovered: its next crash is a first one.
const RECOVERED: Duration = Duration::from_secs(60);

/// What is known of one process' crashes.
#[derive(Debug)]
struct Patience {
    next_pause: Duration,
    since: Instant,
    due: Option<Instant>,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
enum Todo {
    Nothing,
    /// It just ended; it is started again after this pause.
    Tell(Duration),
    Start,
}

impl Patience {
    fn new(now: Instant) -> Self {
        Self {
            next_pause: FIRST_PAUSE,
            since: now,
            due: None,
        }
    }

    fn look(&mut self, down: bool, now: Instant) -> Todo {
        match self.due {
            _ if !down => Todo::Nothing,
            None => {
                if now.duration_since(self.since) >= RECOVERED {
                    self.next_pause = FIRST_PAUSE;
                }
                let pause = self.next_pause;
                self.next_pause = LONGEST_PAUSE.min(pause * 2);
                self.due = Some(now + pause);
                Todo::Tell(pause)
            }
            Some(due) if now >= due => {
                self.due = None;
                self.since = now;
                Todo::Start
            }
            Some(_) => Todo::Nothing,
        }
    }
}

fn tell(say: Say, what: &str, how: &str, log: &std::path::Path, pause: Duration) {
    say(&format!(
        "{what} ended ({how}) and is started again in {} s; its log: {}",
        pause.as_secs(),
        log.display()
    ));
}

fn restarted(say: Say, what: &str, done: anyhow::Result<()>) {
    match done {
        Ok(()) => say(&format!("{what} is started again")),
        Err(error) => say(&format!("{what} could not be started again: {error:#}")),
    }
}

fn how(status: Option<std::process::ExitStatus>) -> String {
    status.map_or_else(|| "it is not running".into(), |status| status.to_string())
}

impl Stack {
    /// Starts again whatever ends, for as long as this is awaited.
    ///
    /// # Errors
    /// When the folder can no longer be written.
    pub async fn supervise(&mut self, say: Say<'_>) -> anyhow::Result<std::convert::Infallible> {
        let new = || Patience::new(Instant::now());
        let (mut of_cluster, mut of_broker) = (new(), new());
        let mut services: Vec<Patience> = self.services.iter().map(|_| new()).collect();
        loop {
            let mut changed = self
                .mend_servers(&mut of_cluster, &mut of_broker, say)
                .await;
            for (member, patience) in self.services.iter_mut().zip(&mut services) {
                let ended = member.process.ended();
                match patience.look(ended.is_some(), Instant::now()) {
                    Todo::Nothing => {}
                    Todo::Tell(pause) => {
                        tell(say, member.process.name(), &how(ended), &member.log, pause);
                        changed = true;
                    }
                    Todo::Start => {
                        let done = member.process.restart(&[]).await;
                        restarted(say, member.process.name(), done);
                        changed = true;
                    }
                }
            }
            if changed {
                self.write_state()?;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// The same for what the services stand on.
    async fn mend_servers(
        &mut self,
        of_cluster: &mut Patience,
        of_broker: &mut Patience,
        say: Say<'_>,
    ) -> bool {
        let mut changed = false;
        if let Some(cluster) = &mut self.cluster {
            let ended = cluster.ended();
            let down = ended.is_some() || cluster.pid().is_none();
            let todo = of_cluster.look(down, Instant::now());
            changed |= todo != Todo::Nothing;
            match todo {
                Todo::Nothing => {}
                Todo::Tell(pause) => tell(say, "PostgreSQL", &how(ended), &cluster.log(), pause),
                Todo::Start => restarted(say, "PostgreSQL", cluster.restart().await),
            }
        }
        if let Some(broker) = &mut self.broker {
            let ended = broker.ended();
            let down = ended.is_some() || broker.pid().is_none();
            let todo = of_broker.look(down, Instant::now());
            changed |= todo != Todo::Nothing;
            match todo {
                Todo::Nothing => {}
                Todo::Tell(pause) => tell(say, "the broker", &how(ended), &broker.log(), pause),
                Todo::Start => restarted(say, "the broker", broker.restart().await),
            }
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Patience, Todo};

    #[test]
    fn pauses_grow_and_are_forgotten_after_a_good_run() {
        let s = Duration::from_secs;
        let mut now = Instant::now();
        let mut patience = Patience::new(now);
        assert_eq!(patience.look(false, now), Todo::Nothing);
        for pause in [1, 2, 4, 8, 16, 30, 30] {
            assert_eq!(patience.look(true, now), Todo::Tell(s(pause)));
            assert_eq!(patience.look(true, now), Todo::Nothing, "not yet");
            now += s(pause);
            assert_eq!(patience.look(true, now), Todo::Start);
            assert_eq!(patience.look(false, now), Todo::Nothing);
        }
        now += s(60);
        assert_eq!(patience.look(true, now), Todo::Tell(s(1)));
    }
}
