//! How a worker introduces itself to the group, and whom it can work beside.

use crate::error::{Error, Kind, Result};
use crate::state::ENDS_BY_ITSELF;
use crate::topic::Member;

/// What a worker's `client.id` says: `cdc.<pipeline>.<worker>.<configuration hash>.<all|some>`, with `-once` behind it
/// for a command that ends by itself. None of the parts contains a dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Introduction {
    pub pipeline: String,
    pub worker: String,
    /// Of the resolved configuration: workers of one pipeline must agree on it.
    pub hash: String,
    /// Whether it serves all tables of its partitions; a command with a table list does not.
    pub serves_all: bool,
    /// Whether it is a command that ends by itself.
    pub ends: bool,
}

impl Introduction {
    pub fn client_id(&self) -> String {
        let scope = if self.serves_all { "all" } else { "some" };
        let once = if self.ends { ENDS_BY_ITSELF } else { "" };
        format!(
            "cdc.{}.{}.{}.{scope}{once}",
            self.pipeline, self.worker, self.hash
        )
    }

    pub fn parse(client_id: &str) -> Option<Self> {
        let mut parts = client_id.split('.');
        let (Some("cdc"), Some(pipeline), Some(worker), Some(hash), Some(scope), None) = (
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
        ) else {
            return None;
        };
        let (scope, ends) = match scope.strip_suffix(ENDS_BY_ITSELF) {
            Some(scope) => (scope, true),
            None => (scope, false),
        };
        let serves_all = match scope {
            "all" => true,
            "some" => false,
            _ => return None,
        };
        Some(Introduction {
            pipeline: pipeline.into(),
            worker: worker.into(),
            hash: hash.into(),
            serves_all,
            ends,
        })
    }

    /// Whether those that are there work by the same configuration.
    pub fn check_configuration(&self, members: &[Member]) -> Result<()> {
        members
            .iter()
            .try_for_each(|member| match Introduction::parse(&member.client_id) {
                Some(other) => self.check_hash(&other, &other.seen_on(member)),
                None => Ok(()),
            })
    }

    fn check_hash(&self, other: &Introduction, who: &str) -> Result<()> {
        if other.hash == self.hash {
            return Ok(());
        }
        Err(Error::new(
            Kind::TryLater,
            format!("{who} runs this pipeline with another configuration"),
        )
        .code(crate::error::Code::OTHER_CONFIGURATION)
        .hint("give all workers the same file, then start them one after the other"))
    }

    /// Whether this worker may join beside those that are there.
    pub fn check_beside(&self, members: &[Member]) -> Result<()> {
        for member in members {
            let Some(other) = Introduction::parse(&member.client_id) else {
                continue;
            };
            let who = other.seen_on(member);
            if other.worker == self.worker {
                return Err(Error::new(Kind::TryLater, format!("{who} runs under this worker's name"))
                    .code(crate::error::Code::TWIN)
                    .hint("if it was killed, its membership ends within 10 s; else give one of them another `worker:`"));
            }
            self.check_hash(&other, &who)?;
            if !other.serves_all {
                return Err(Error::new(
                    Kind::TryLater,
                    format!("{who} serves only the tables it was asked for"),
                )
                .hint("wait until that command has ended"));
            }
            if !self.serves_all {
                return Err(served_already(&who));
            }
        }
        Ok(())
    }

    /// Whether this worker may keep what was just shared out. Who joins in the same moment is not seen before: of two that
    /// cannot work side by side exactly one leaves now. A command that ends by itself leaves to whoever follows, for it
    /// would wait for tables that are not its; who serves only some tables leaves to who serves all; else the greater
    /// name leaves.
    pub fn check_shared(&self, members: &[Member]) -> Result<()> {
        for member in members {
            let Some(other) = Introduction::parse(&member.client_id) else {
                continue;
            };
            let can_share = !self.ends && !other.ends && self.serves_all && other.serves_all;
            if other.worker == self.worker || (can_share && other.hash == self.hash) {
                continue;
            }
            let rank = |one: &Introduction| (one.ends, !one.serves_all);
            if (rank(self), &self.worker) < (rank(&other), &other.worker) {
                continue;
            }
            let who = other.seen_on(member);
            self.check_hash(&other, &who)?;
            return Err(served_already(&who));
        }
        Ok(())
    }

    fn seen_on(&self, member: &Member) -> String {
        let host = member.host.trim_start_matches('/');
        format!("worker `{}` on {host}", self.worker)
    }
}

fn served_already(who: &str) -> Error {
    let text = format!("{who} serves this pipeline's tables already");
    Error::new(Kind::TryLater, text)
        .code(crate::error::Code::SERVED_ALREADY)
        .hint("leave the table list out, or ask that worker: it answers requests")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(name: &str, hash: &str, serves_all: bool) -> Introduction {
        Introduction {
            pipeline: "retail".into(),
            worker: name.into(),
            hash: hash.into(),
            serves_all,
            ends: false,
        }
    }

    /// The same as a command that ends by itself.
    fn command(name: &str, hash: &str, serves_all: bool) -> Introduction {
        Introduction {
            ends: true,
            ..worker(name, hash, serves_all)
        }
    }

    fn member(introduction: &Introduction) -> Member {
        Member {
            client_id: introduction.client_id(),
            host: "/127.0.0.1".into(),
        }
    }

    #[test]
    fn an_introduction_is_read_as_it_was_written() {
        let introduction = worker("till-1", "0123456789abcdef", false);
        assert_eq!(
            introduction.client_id(),
            "cdc.retail.till-1.0123456789abcdef.some"
        );
        assert_eq!(
            Introduction::parse(&introduction.client_id()),
            Some(introduction)
        );
        let command = command("till-2", "0123456789abcdef", true);
        assert!(command.client_id().ends_with(".all-once"));
        assert_eq!(Introduction::parse(&command.client_id()), Some(command));
        assert_eq!(Introduction::parse("rdkafka"), None);
    }

    #[test]
    fn workers_of_one_configuration_share_and_all_others_are_refused() {
        let me = worker("a", "1", true);
        assert!(me.check_beside(&[member(&worker("b", "1", true))]).is_ok());
        for (i, other) in [
            worker("a", "1", true),
            worker("b", "2", true),
            worker("b", "1", false),
        ]
        .iter()
        .enumerate()
        {
            let refused = me.check_beside(&[member(other)]).unwrap_err();
            assert_eq!(refused.kind().exit_code(), 75, "case {i}");
        }
        assert!(
            worker("a", "1", false)
                .check_beside(&[member(&worker("b", "1", true))])
                .is_err()
        );
    }

    #[test]
    fn of_two_that_joined_in_one_moment_exactly_one_leaves_unless_they_can_share() {
        let kinds = [
            worker("c", "1", true),
            worker("b", "2", true),
            worker("a", "1", false),
            worker("e", "1", false),
            command("a", "1", true),
            command("d", "1", true),
            command("a", "2", false),
            command("f", "1", false),
        ];
        let leaves = |me: &Introduction, other: &Introduction| {
            me.check_shared(&[member(me), member(other)]).is_err()
        };
        for (i, one) in kinds.iter().enumerate() {
            let others = kinds[i + 1..].iter();
            for other in others.filter(|other| other.worker != one.worker) {
                assert!(
                    leaves(one, other) != leaves(other, one),
                    "{one:?} {other:?}"
                );
                // Whoever follows never leaves to a command.
                assert_eq!(
                    one.ends != other.ends && leaves(one, other),
                    one.ends && !other.ends,
                    "{one:?} {other:?}"
                );
            }
        }
        let (one, other) = (worker("a", "1", true), worker("b", "1", true));
        assert!(!leaves(&one, &other) && !leaves(&other, &one));
        assert!(one.check_shared(&[member(&one)]).is_ok());
    }
}
