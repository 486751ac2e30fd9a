//! The end of the process.

use crate::error::Kind;

/// How a command ended: 0, or the number of its [kind](Kind) of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExitCode(u8);

impl ExitCode {
    pub const SUCCESS: Self = ExitCode(0);

    /// Ends the process at once, by crash rules: every decision is durable or was never made. What libraries registered
    /// for its end is not run: it would clean up what threads that nobody waits for, such as those of a client of Kafka
    /// whose question is not answered yet, still work with. With TLS that ended the process by a signal now and then.
    pub fn end_the_process(self) -> ! {
        // SAFETY: it takes any number, and may be called from any thread.
        unsafe { libc::_exit(self.0.into()) }
    }
}

impl From<u8> for ExitCode {
    fn from(code: u8) -> Self {
        ExitCode(code)
    }
}

impl From<Kind> for ExitCode {
    fn from(kind: Kind) -> Self {
        ExitCode(kind.exit_code())
    }
}
