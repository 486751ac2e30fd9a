//! A process of the product: started, watched, stopped, killed, frozen.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use super::eventually;

/// The longest a stopped process may take: the promise of a clean end.
const CLEAN_END: Duration = Duration::from_secs(25);

/// A running process; killed when it is dropped.
pub struct Worker {
    child: Child,
    /// Where its stderr goes.
    pub log: PathBuf,
    answer: PathBuf,
}

/// A process that ended by itself.
#[derive(Debug)]
pub struct Finished {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// What `check` and `plan` say of a part that had no time to answer.
pub const BUSY: [&str; 3] = [
    "it took too long to answer",
    "no answer within",
    "the time was over",
];

/// What the guard of MariaDB says where the server never showed it the open transactions.
pub const STARVED: &str = "reads INNODB_TRX so often";

impl Finished {
    /// Whether a part had no time to answer: `check` gives each some seconds, which a busy machine may not have.
    pub fn is_busy(&self) -> bool {
        BUSY.iter().any(|words| self.stdout.contains(words))
    }

    /// Whether the same command may come to more a moment later: a part had no time to answer, or what others do on the
    /// server kept the guard of MariaDB from looking.
    pub fn may_pass(&self) -> bool {
        self.is_busy() || self.code == Some(69) || self.stdout.contains(STARVED)
    }

    /// What is missing of ending with `code` and saying each of `words`.
    pub fn lacks(&self, code: i32, words: &[&str]) -> Option<String> {
        let said = format!("{}{}", self.stdout, self.stderr);
        match words.iter().find(|word| !said.contains(**word)) {
            _ if self.code != Some(code) => Some(format!("exit code {:?}:\n{said}", self.code)),
            Some(word) => Some(format!("`{word}` is not in what it said:\n{said}")),
            None => None,
        }
    }

    /// Fails unless it ended with `code` and said each of `words`.
    pub fn expect(self, code: i32, words: &[&str]) -> Finished {
        let lack = self.lacks(code, words);
        assert!(lack.is_none(), "{}", lack.unwrap_or_default());
        self
    }

    /// Fails unless it said each of `words`.
    pub fn expect_words(self, words: &[&str]) -> Finished {
        let said = format!("{}{}", self.stdout, self.stderr);
        for word in words {
            assert!(
                said.contains(word),
                "`{word}` is not in what it said:\n{said}"
            );
        }
        self
    }
}

impl Worker {
    pub fn start(mut command: Command, log: PathBuf) -> Worker {
        let answer = log.with_extension("out");
        let file = |path: &PathBuf| std::fs::File::create(path).expect("a file for what it says");
        let child = command
            .stdin(std::process::Stdio::null())
            .stdout(file(&answer))
            .stderr(file(&log))
            .spawn()
            .expect("the binary starts");
        Worker { child, log, answer }
    }

    /// What it said on stderr so far.
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// What it answered on stdout so far.
    pub fn answered(&self) -> String {
        std::fs::read_to_string(&self.answer).unwrap_or_default()
    }

    /// Waits until it says `words` on stderr.
    pub async fn says(&mut self, words: &str) {
        let what = format!("the process says `{words}`");
        eventually(&what, async || match self.said() {
            said if said.contains(words) => Ok(()),
            said => {
                assert!(
                    self.is_running(),
                    "it ended before it said `{words}`:\n{said}"
                );
                Err("it said something else".to_owned())
            }
        })
        .await;
    }

    pub fn is_running(&mut self) -> bool {
        self.child
            .try_wait()
            .expect("a child can be asked")
            .is_none()
    }

    /// The most bytes it ever held in memory, as the kernel counts them; `None` once it has ended.
    pub fn peak_memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
        let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kib << 10)
    }

    /// kill −9: nothing is settled, nobody is told.
    pub fn kill(mut self) {
        assert!(
            self.is_running(),
            "it ended before it could be killed:\n{}",
            self.said()
        );
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a killed child ends");
    }

    /// The process's number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGTERM, and the end that must follow: in time, with exit code 0.
    pub async fn stop(self) {
        self.terminate();
        let began = Instant::now();
        let finished = self.finish().await;
        assert!(
            began.elapsed() < CLEAN_END,
            "stopping took {:?}",
            began.elapsed()
        );
        finished.expect(0, &[]);
    }

    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Ctrl-C.
    pub fn interrupt(&self) {
        self.signal("INT");
    }

    pub fn freeze(&self) {
        self.signal("STOP");
    }

    pub fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(
            sent.is_ok_and(|status| status.success()),
            "signal {name} to {pid}"
        );
    }

    /// Waits until it has ended by itself.
    pub async fn finish(mut self) -> Finished {
        let status = self.ended().await;
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let mut stderr = read(&self.log);
        if let Some(signal) = status.signal() {
            stderr.push_str(&format!("(it was ended by signal {signal})"));
        }
        Finished {
            code: status.code(),
            stdout: read(&self.answer),
            stderr,
        }
    }

    async fn ended(&mut self) -> ExitStatus {
        let child = &mut self.child;
        eventually("the process ends", async || match child.try_wait() {
            Ok(Some(status)) => Ok(status),
            Ok(None) => Err("it still runs".to_owned()),
            Err(error) => Err(error.to_string()),
        })
        .await
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
