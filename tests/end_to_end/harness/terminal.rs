//! The product on a terminal: a pseudo terminal that a test types into and reads.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use super::eventually;

/// A process on a terminal of its own; killed when it is dropped.
pub struct Terminal {
    child: Child,
    keyboard: File,
    screen: Arc<Mutex<Vec<u8>>>,
    /// How much of what was shown a test has seen already.
    seen: usize,
}

impl Terminal {
    pub fn start(mut command: Command) -> Terminal {
        let (master, slave) = pair();
        let end = |fd: &OwnedFd| Stdio::from(fd.try_clone().expect("another handle"));
        let child = command
            .stdin(end(&slave))
            .stdout(end(&slave))
            .stderr(end(&slave))
            .env("TERM", "xterm")
            .spawn()
            .expect("the binary starts");
        drop(slave);
        let keyboard = File::from(master);
        let mut shown = keyboard.try_clone().expect("another handle");
        let screen = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&screen);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // Reading fails once the process has ended.
            while let Ok(count @ 1..) = shown.read(&mut bytes) {
                kept.lock().unwrap().extend_from_slice(&bytes[..count]);
            }
        });
        Terminal {
            child,
            keyboard,
            screen,
            seen: 0,
        }
    }

    /// All that was shown, without colours and movements.
    pub fn shown(&self) -> String {
        console::strip_ansi_codes(&self.raw()).into_owned()
    }

    /// All that was sent to the terminal.
    pub fn raw(&self) -> String {
        let bytes = self.screen.lock().unwrap().clone();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until `words` are shown after what was seen before.
    pub async fn sees(&mut self, words: &str) {
        let what = format!("the terminal shows `{words}`");
        let found = eventually(&what, async || {
            let shown = self.shown();
            let fresh = shown.get(self.seen..).unwrap_or_default();
            let at = fresh.find(words).map(|at| self.seen + at + words.len());
            at.ok_or_else(|| format!("it shows:\n{shown}"))
        })
        .await;
        self.seen = found;
    }

    /// Types keys.
    pub fn types(&mut self, keys: &str) {
        self.keyboard
            .write_all(keys.as_bytes())
            .expect("it can be typed");
    }

    /// Waits until it has ended by itself.
    pub async fn ends(&mut self) -> Option<i32> {
        eventually("the process on the terminal ends", async || {
            let ended = self.child.try_wait().expect("a child can be asked");
            ended
                .map(|status| status.code())
                .ok_or_else(|| self.shown())
        })
        .await
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The two ends of a terminal of 40 lines and 120 columns.
fn pair() -> (OwnedFd, OwnedFd) {
    let (mut master, mut slave) = (-1, -1);
    let size = libc::winsize {
        ws_row: 40,
        ws_col: 120,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: both handles are written by the call and owned by nobody else; what may be left out is.
    let ends = unsafe {
        let made = libc::openpty(
            &mut master,
            &mut slave,
            std::ptr::null_mut(),
            std::ptr::null(),
            &size,
        );
        assert_eq!(made, 0, "a terminal: {}", std::io::Error::last_os_error());
        (OwnedFd::from_raw_fd(master), OwnedFd::from_raw_fd(slave))
    };
    // SAFETY: the handle is open. Children of other tests must not keep the terminal.
    unsafe { libc::fcntl(ends.0.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) };
    unsafe { libc::fcntl(ends.1.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) };
    ends
}
