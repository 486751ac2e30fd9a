//! Looks at Kafka: who it is, and the topics that are there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use super::patience::{PATIENCE, blocking};
use crate::config::KafkaSettings;
use crate::error::Result;
use crate::state::PipelineNames;
use crate::topic::{Admin, TopicFacts, Transactional};

/// How long a broker may take to say who it is: less than [`PATIENCE`], so that it is heard why it is silent.
const HELLO: Duration = Duration::from_millis(3_500);

/// A broker that answers.
#[derive(Clone)]
pub struct Broker {
    admin: Arc<Admin>,
    pub cluster: String,
}

impl Broker {
    /// Says hello.
    pub async fn reach(kafka: &KafkaSettings, client_id: &str) -> Result<Self> {
        let admin = Arc::new(Admin::new(kafka, client_id)?);
        let asked = admin.clone();
        let doing = format!("connecting to Kafka at `{}`", kafka.brokers);
        let answer = blocking(PATIENCE, &doing, move || asked.cluster_id_within(HELLO)).await;
        let answer = answer.map_err(|error| error.code(crate::error::Code::KAFKA_UNREACHABLE));
        let cluster = answer.map_err(|error| match error.next_step() {
            Some(_) => error,
            None => error.hint(
                "check `kafka.brokers`, that this machine reaches it, and `security.protocol` in `kafka.client` if the brokers speak TLS or ask for a log-in",
            ),
        })?;
        Ok(Broker { admin, cluster })
    }

    /// Asks something that blocks.
    pub async fn ask<T: Send + 'static>(
        &self,
        doing: &str,
        question: impl FnOnce(&Admin) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let admin = self.admin.clone();
        blocking(PATIENCE, doing, move || question(&admin)).await
    }

    /// Topics by name; those that do not exist are left out.
    pub async fn topics(&self, names: Vec<String>) -> Result<BTreeMap<String, TopicFacts>> {
        let here = Handle::current();
        // Thousands take a little longer.
        let patience = PATIENCE.saturating_mul(1 + names.len() as u32 / 1_000);
        let admin = self.admin.clone();
        let question = move |admin: &Admin| here.block_on(admin.topics(&names));
        blocking(patience, "asking for topics", move || question(&admin)).await
    }

    /// One topic, asked for by its name: what may not be seen is an error.
    pub async fn topic(&self, name: &str) -> Result<Option<TopicFacts>> {
        let (here, name) = (Handle::current(), name.to_owned());
        let question = move |admin: &Admin| here.block_on(admin.topic(&name));
        self.ask("asking for a topic", question).await
    }

    /// Which topics this user may write to; those of which the broker does not say it are left out.
    pub async fn may_write(&self, names: Vec<String>) -> Result<BTreeMap<String, bool>> {
        let question = move |admin: &Admin| {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            admin.may_write_each(&names)
        };
        self.ask("asking what is allowed on topics", question).await
    }

    /// Whether the broker makes topics that somebody merely mentions.
    pub async fn makes_topics_by_itself(&self) -> Result<bool> {
        let here = Handle::current();
        let question = move |admin: &Admin| here.block_on(admin.broker_settings());
        let settings = self
            .ask("asking for the broker's settings", question)
            .await?;
        let setting = settings.get("auto.create.topics.enable");
        Ok(setting.is_some_and(|value| value == "true"))
    }
}

/// Opens a transaction and ends it, under an id of its own so that no worker is fenced.
pub async fn try_transaction(
    kafka: &KafkaSettings,
    client_id: &str,
    names: &PipelineNames,
) -> Result<()> {
    let (kafka, client_id) = (kafka.clone(), client_id.to_owned());
    let id = names.check_transactional_id();
    blocking(PATIENCE, "opening a transaction", move || {
        let producer = Transactional::open(&kafka, &client_id, &id)?;
        producer.begin()?;
        producer.commit()
    })
    .await
}
