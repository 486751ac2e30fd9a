//! `cdc init`: the first configuration, from what the databases' catalogs say or from Kafka Connect's connectors.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use super::ending::ExitCode;
use super::interview::{Known, Questions};
use super::named::{Named, databases};
use super::output::{self, Output};
use crate::config::{LakePlace, check_written};
use crate::error::{Error, Kind, Result};
use crate::inspect::{
    Around, FirstFile, FirstSource, Translation, Weight, Wishes, discover, first_file, translate,
};

/// Where the configuration is written, and read, if nothing else is said.
const USUAL_FILE: &str = "cdc.yaml";
const USUAL_BROKERS: &str = "localhost:9092";
const USUAL_LAKE: &str = "./lake";

const ABOUT: &str =
    "Writes a first cdc.yaml: for each table a mode and the reason, from what the catalog says";
const MORE: &str = "\
On a terminal it asks what is not given; elsewhere, or with --yes, it never does. Passwords are not
written: the file refers to the environment.

Examples: cdc init postgres://cdc@localhost/shop
          cdc init 'ec=${env:EC_URL}' --kafka kafka:9092 --lake s3://retail-lake/raw
          cdc init --from-connect source.json sink.json";

/// `cdc init`.
#[derive(Debug, Args)]
#[command(about = ABOUT, long_about = None, after_help = MORE)]
pub struct Init {
    /// Databases: `URL`, `NAME=URL`, or a reference to one (`'${env:EC_URL}'`)
    #[arg(value_name = "URL")]
    urls: Vec<String>,
    /// Translate Kafka Connect's JDBC source and S3 sink connectors (JSON) instead
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with = "urls")]
    from_connect: Vec<PathBuf>,
    /// Kafka's brokers [default: localhost:9092]
    #[arg(long, value_name = "HOST:PORT")]
    kafka: Option<String>,
    /// What the names of topics begin with [default: the pipeline's name and a dot]
    #[arg(long, value_name = "PREFIX")]
    topic_prefix: Option<String>,
    /// The lake: `s3://bucket/prefix` or a directory [default: ./lake]
    #[arg(long, value_name = "URL")]
    lake: Option<String>,
    /// Address of the store, if it is not AWS's
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// Tables or globs (`orders`, `ec.*`), as often as you like [default: all]
    #[arg(long, value_name = "GLOB")]
    tables: Vec<String>,
    /// The pipeline's name [default: the first source's]
    #[arg(long, value_name = "NAME")]
    pipeline: Option<String>,
    /// Where to write; `-` is stdout [default: the one of --config, or cdc.yaml]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Write over a file that is there
    #[arg(long)]
    force: bool,
    /// Ask nothing: take the defaults
    #[arg(long)]
    yes: bool,
}

impl Init {
    pub async fn run(&self, config: Option<&Path>, output: Output) -> Result<ExitCode> {
        let place = Place::new(self.file.as_deref().or(config), self.force)?;
        self.check()?;
        if !self.from_connect.is_empty() {
            return self.translate(&place, output);
        }
        let known = Known {
            databases: databases(&self.urls)?,
            tables: self.tables.clone(),
            brokers: self.kafka.clone(),
            topic_prefix: self.topic_prefix.clone(),
            lake: self.lake.clone(),
            pipeline: self.pipeline.clone(),
            file: place.shown(),
        };
        let answered = match Questions::may_be_asked() && !self.yes {
            true => Questions::new(known).ask().await?,
            false => answers(known).await?,
        };
        let Some((answers, sources)) = answered else {
            output::note("nothing was written");
            return Ok(ExitCode::from(Kind::No));
        };
        let names: Vec<&Named> = answers.databases.iter().collect();
        let wishes = Wishes {
            pipeline: pipeline_of(&answers),
            topic_prefix: prefix_of(&answers),
            brokers: answers
                .brokers
                .clone()
                .unwrap_or_else(|| USUAL_BROKERS.to_owned()),
            lake: answers
                .lake
                .clone()
                .unwrap_or_else(|| USUAL_LAKE.to_owned()),
            endpoint: self.endpoint.clone(),
            sources,
        };
        let file = first_file(&wishes)?;
        place.write(&file.text, output)?;
        tell(&file, &names, &place);
        Ok(ExitCode::SUCCESS)
    }

    /// What the parser of the file would refuse is refused before anything is asked.
    fn check(&self) -> Result<()> {
        if let Some(lake) = &self.lake {
            LakePlace::parse(lake)
                .map_err(|why| Error::new(Kind::Usage, format!("`--lake {lake}` {why}")))?;
        }
        Ok(())
    }

    fn translate(&self, place: &Place, output: Output) -> Result<ExitCode> {
        let mut documents = Vec::new();
        for path in &self.from_connect {
            let text = std::fs::read_to_string(path).map_err(|error| {
                Error::new(Kind::Usage, "reading the connector's document")
                    .about(format!("`{}`", path.display()))
                    .because(error)
            })?;
            documents.push((path.display().to_string(), text));
        }
        let around = Around {
            pipeline: self
                .pipeline
                .clone()
                .unwrap_or_else(|| "default".to_owned()),
            brokers: self.kafka.clone(),
            topic_prefix: self.topic_prefix.clone(),
            lake: self.lake.clone(),
        };
        let translation = translate(&documents, &around)?;
        place.write(&translation.text, output)?;
        tell_translation(&translation, place);
        Ok(ExitCode::SUCCESS)
    }
}

/// What is known without asking anybody: every default is taken.
async fn answers(known: Known) -> Result<Option<(Known, Vec<FirstSource>)>> {
    if known.databases.is_empty() {
        return Err(Error::new(Kind::Usage, "no database is named").hint(
            "write `cdc init postgres://user:password@host/database`, or `--from-connect FILE` for Kafka Connect's connectors",
        ));
    }
    let sources = look(&known).await?;
    Ok(Some((known, sources)))
}

/// Asks every database; one that does not answer ends it, since the file would lack it.
pub(super) async fn look(known: &Known) -> Result<Vec<FirstSource>> {
    let settings: Vec<_> = known
        .databases
        .iter()
        .map(|named| named.settings.clone())
        .collect();
    let (found, errors) = discover(&settings).await;
    if let Some(error) = errors.into_iter().next() {
        return Err(error);
    }
    let named = known.databases.iter();
    let sources = found
        .sources
        .into_iter()
        .zip(named)
        .map(|(found, named)| FirstSource {
            url: named.written.clone(),
            chosen: Some(found.asked_for(&known.tables)),
            found,
        });
    Ok(sources.collect())
}

pub(super) fn pipeline_of(known: &Known) -> String {
    let first = known
        .databases
        .first()
        .map(|named| named.settings.name.clone());
    known
        .pipeline
        .clone()
        .or(first)
        .unwrap_or_else(|| "default".to_owned())
}

/// A prefix of its own keeps a pipeline's topics together, and apart from those of others.
pub(super) fn prefix_of(known: &Known) -> String {
    let usual = || format!("{}.", pipeline_of(known));
    known.topic_prefix.clone().unwrap_or_else(usual)
}

/// Where the file goes.
struct Place {
    /// `None`: stdout.
    path: Option<PathBuf>,
    force: bool,
}

impl Place {
    fn new(path: Option<&Path>, force: bool) -> Result<Self> {
        let path = path.unwrap_or(Path::new(USUAL_FILE));
        let path = (path != Path::new("-")).then(|| path.to_owned());
        let place = Place { path, force };
        match &place.path {
            Some(path) if path.exists() && !force => Err(place.is_there()),
            _ => Ok(place),
        }
    }

    fn shown(&self) -> String {
        let path = self.path.as_ref();
        path.map_or_else(|| "stdout".to_owned(), |path| path.display().to_string())
    }

    fn written(&self) -> String {
        match self.path {
            Some(_) => format!("wrote {}", self.shown()),
            None => "wrote it to stdout".to_owned(),
        }
    }

    fn is_there(&self) -> Error {
        Error::new(
            Kind::No,
            "the file is there already, and is not written over",
        )
        .about(format!("`{}`", self.shown()))
        .hint("name another by `--file`, or add `--force`")
    }

    /// Writes what can be read again. What cannot came from the command line: a name, a prefix, an address.
    fn write(&self, text: &str, output: Output) -> Result<()> {
        check_written(text, &self.shown()).map_err(|problems| {
            Error::new(
                Kind::Usage,
                format!("what would be written could not be read\n{problems}"),
            )
            .hint("change the flag it comes from; nothing was written")
        })?;
        let Some(path) = &self.path else {
            output.line(text.trim_end());
            return Ok(());
        };
        let mut options = std::fs::OpenOptions::new();
        match self.force {
            true => options.write(true).create(true).truncate(true),
            false => options.write(true).create_new(true),
        };
        let written = options
            .open(path)
            .and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => self.is_there(),
            _ => Error::new(Kind::LocalIo, "writing the configuration")
                .about(format!("`{}`", self.shown()))
                .because(error),
        })
    }

    /// What a command must be told to read this file.
    fn as_flag(&self) -> String {
        match &self.path {
            Some(path) if path != Path::new(USUAL_FILE) => format!(" -c {}", path.display()),
            _ => String::new(),
        }
    }
}

fn tables(count: usize) -> String {
    match count {
        1 => "1 table".to_owned(),
        count => format!("{count} tables"),
    }
}

/// What was written, and what comes next.
fn tell(file: &FirstFile, databases: &[&Named], place: &Place) {
    let count: usize = file.modes.values().sum();
    let modes: Vec<String> = file
        .modes
        .iter()
        .map(|(mode, count)| format!("{count} {mode}"))
        .collect();
    let left = match file.left {
        0 => String::new(),
        left => format!("; {} left out, the reason stands there", tables(left)),
    };
    output::note(&format!(
        "{}: {} ({}){left}",
        place.written(),
        tables(count),
        modes.join(", ")
    ));
    output::note("next:");
    for named in databases {
        if let Some(variable) = &named.to_export {
            let url = &named.settings.url;
            output::note(&format!(
                "  export {variable}=…   # {url}, with its password"
            ));
        }
    }
    commands(place);
}

fn commands(place: &Place) {
    let flag = place.as_flag();
    if place.path.is_none() {
        output::note(&format!("  save it as {USUAL_FILE}"));
    }
    for command in ["check", "plan", "follow"] {
        output::note(&format!("  cdc {command}{flag}"));
    }
}

/// Every option that has no equal, the heaviest first, then what comes next.
fn tell_translation(translation: &Translation, place: &Place) {
    let mut remarks: Vec<_> = translation.remarks.iter().collect();
    remarks.sort_by(|a, b| (a.weight, &a.connector, &a.key).cmp(&(b.weight, &b.connector, &b.key)));
    for remark in remarks {
        let sign = match remark.weight {
            Weight::NoEqual => "warning: ",
            Weight::Differs | Weight::NotNeeded => "",
        };
        let whose = match remark.connector.as_str() {
            "all" => String::new(),
            connector => format!("{connector}: "),
        };
        output::note(&format!(
            "{sign}{whose}`{}` {}: {}",
            remark.key,
            remark.weight.in_words(),
            remark.text
        ));
    }
    let connectors = match translation.connectors {
        1 => "1 connector".to_owned(),
        count => format!("{count} connectors"),
    };
    output::note(&format!("{} from {connectors}", place.written()));
    output::note("next:");
    for variable in &translation.variables {
        output::note(&format!("  export {variable}=…"));
    }
    commands(place);
}
