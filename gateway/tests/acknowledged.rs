//! What is acknowledged stays: random deployments, deletions, damage and restarts, with functions of
//! the command line or without, against a model.

mod common;

use common::{Server, artifact, config, says};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;
use wfaas_function::Spec;
use wfaas_gateway::{DeployError, Gateway};

const NAMES: [&str; 3] = ["a", "b", "c"];
/// The default routes of two of the names, and others.
const ROUTES: [&str; 4] = ["/a", "/b", "/r", "/r/s"];

/// A function by the places of its name, route and artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wanted {
    name: usize,
    /// `None` for the default.
    route: Option<usize>,
    text: usize,
}

#[derive(Debug, Clone)]
enum Step {
    Deploy(Wanted),
    Delete(usize),
    /// With functions of the command line, and an artifact that is damaged meanwhile.
    Restart(Vec<Wanted>, Option<usize>),
}

fn wanted() -> impl Strategy<Value = Wanted> {
    let route = prop::option::of(0..ROUTES.len());
    (0..NAMES.len(), route, 0..2usize).prop_map(|(name, route, text)| Wanted { name, route, text })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => wanted().prop_map(Step::Deploy),
        2 => (0..NAMES.len()).prop_map(Step::Delete),
        3 => (prop::collection::vec(wanted(), 0..3), prop::option::weighted(0.3, 0..2usize))
            .prop_map(|(installed, damaged)| Step::Restart(installed, damaged)),
    ]
}

impl Wanted {
    fn route(&self) -> String {
        self.route.map_or_else(|| format!("/{}", NAMES[self.name]), |route| ROUTES[route].into())
    }

    fn artifact(&self) -> &'static [u8] {
        static ARTIFACTS: OnceLock<[Vec<u8>; 2]> = OnceLock::new();
        &ARTIFACTS.get_or_init(|| ["0", "1"].map(|text| artifact(&says(text))))[self.text]
    }

    fn spec(&self) -> Spec {
        let route = self.route.map(|route| ROUTES[route].parse().unwrap());
        Spec { route, ..Spec::default() }
    }
}

/// What there should be.
#[derive(Debug, Default)]
struct Model {
    stored: BTreeMap<usize, Wanted>,
    installed: BTreeMap<usize, Wanted>,
    /// The artifact that is damaged on disk.
    damaged: Option<usize>,
    /// Stored functions that were not loaded at the start.
    failed: Vec<usize>,
}

impl Model {
    fn is_taken(&self, by: &Wanted) -> bool {
        let mut all = self.stored.values().chain(self.installed.values());
        all.any(|other| other.name != by.name && other.route() == by.route())
    }

    /// The status of the answer.
    fn deploy(&mut self, wanted: Wanted) -> u16 {
        if self.is_taken(&wanted) {
            return 409;
        }
        let name = wanted.name;
        self.failed.retain(|failed| *failed != name);
        // The artifact is stored anew with it.
        self.damaged = self.damaged.filter(|damaged| *damaged != wanted.text);
        let stored = self.stored.insert(name, wanted).is_some();
        let installed = self.installed.remove(&name).is_some();
        if stored || installed { 200 } else { 201 }
    }

    fn delete(&mut self, name: usize) -> u16 {
        self.failed.retain(|failed| *failed != name);
        let stored = self.stored.remove(&name).is_some();
        let installed = self.installed.remove(&name).is_some();
        if stored || installed { 204 } else { 404 }
    }

    fn install(&mut self, wanted: Wanted) -> bool {
        let is_free = !self.is_taken(&wanted);
        if is_free {
            self.installed.insert(wanted.name, wanted);
        }
        is_free
    }

    fn restart(&mut self) {
        self.installed.clear();
        let is_damaged = |wanted: &&Wanted| Some(wanted.text) == self.damaged;
        self.failed = self.stored.values().filter(is_damaged).map(|wanted| wanted.name).collect();
    }

    /// The answers at each route.
    fn answers(&self) -> BTreeMap<String, Answer> {
        let mut answers = BTreeMap::new();
        for name in 0..NAMES.len() {
            let stored = self.stored.get(&name);
            let Some(wanted) = self.installed.get(&name).or(stored) else { continue };
            let is_failed = !self.installed.contains_key(&name) && self.failed.contains(&name);
            let answer = match is_failed {
                false => Answer::Text(["0", "1"][wanted.text]),
                true if self.damaged == Some(wanted.text) => Answer::Failed,
                true => Answer::Repaired(["0", "1"][wanted.text]),
            };
            assert!(answers.insert(wanted.route(), answer).is_none(), "one route, one function");
        }
        answers
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Text(&'static str),
    Failed,
    /// It may have been tried again meanwhile.
    Repaired(&'static str),
}

impl Answer {
    fn is(self, status: u16, text: &str) -> bool {
        match self {
            Answer::Text(expected) => (status, text) == (200, expected),
            Answer::Failed => status == 503,
            Answer::Repaired(expected) => status == 503 || (status, text) == (200, expected),
        }
    }
}

/// A server and the model of it.
struct Pair {
    server: Option<Server>,
    model: Model,
}

impl Pair {
    fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    fn run(&mut self, store: &Path, step: &Step) {
        match step {
            Step::Deploy(wanted) => {
                let headers = [("x-wfaas-config", &*wanted.spec().to_json())];
                let path = format!("/v1/functions/{}", NAMES[wanted.name]);
                let response = self.server().send("PUT", &path, &headers, wanted.artifact());
                let status = response.status;
                assert_eq!(status, self.model.deploy(*wanted), "{step:?}: {}", response.text());
            }
            Step::Delete(name) => {
                let path = format!("/v1/functions/{}", NAMES[*name]);
                let status = self.server().request("DELETE", &path, b"").status;
                assert_eq!(status, self.model.delete(*name), "{step:?}");
            }
            Step::Restart(installed, damaged) => self.restart(store, installed, *damaged),
        }
        self.compare();
    }

    fn restart(&mut self, store: &Path, installed: &[Wanted], damaged: Option<usize>) {
        drop(self.server.take());
        let user = self.model.stored.values().find(|wanted| Some(wanted.text) == damaged);
        if let Some(wanted) = user.filter(|_| self.model.damaged.is_none()) {
            damage(store, wanted.artifact());
            self.model.damaged = damaged;
        }
        self.model.restart();
        let gateway = Gateway::bind(config(store)).expect("it starts");
        for wanted in installed {
            let name = NAMES[wanted.name].parse().unwrap();
            let result = gateway.install(name, wanted.spec(), wanted.artifact());
            assert!(matches!(&result, Ok(_) | Err(DeployError::Route(_))), "{result:?}");
            assert_eq!(result.is_ok(), self.model.install(*wanted), "{wanted:?}");
        }
        self.server = Some(Server::start(gateway));
    }

    fn compare(&self) {
        let expected = self.model.answers();
        for route in ROUTES.iter().copied().chain(["/c"]) {
            let response = self.server().request("GET", route, b"");
            let below =
                |owner: &&String| route == **owner || route.starts_with(&format!("{owner}/"));
            // `/r/s` is below `/r` as well.
            let owner = expected.keys().rev().find(below);
            let is_right = match owner {
                Some(owner) => expected[owner].is(response.status, response.text()),
                None => response.status == 404,
            };
            assert!(is_right, "{route}: {response:?} in {:?}", self.model);
        }
        let health = self.server().request("GET", "/v1/health", b"").json();
        let number = |name: &str| usize::try_from(health[name].as_u64().unwrap()).unwrap();
        let count = |wanted: fn(&&Answer) -> bool| expected.values().filter(wanted).count();
        assert_eq!(number("functions") + number("failed"), expected.len());
        assert!(number("failed") >= count(|answer| **answer == Answer::Failed));
        assert!(number("functions") >= count(|answer| matches!(answer, Answer::Text(_))));
    }
}

/// Makes a stored artifact one that cannot be loaded.
fn damage(store: &Path, artifact: &[u8]) {
    for blob in std::fs::read_dir(store.join("blobs")).unwrap() {
        let blob = blob.unwrap().path();
        if std::fs::read(&blob).unwrap() == artifact {
            std::fs::write(&blob, &artifact[..artifact.len() - 1]).unwrap();
        }
    }
}

fn check(steps: &[Step]) {
    let dir = tempfile::tempdir().unwrap();
    let mut pair = Pair { server: Some(Server::on(dir.path())), model: Model::default() };
    steps.iter().for_each(|step| pair.run(dir.path(), step));
    // In the end, everything that was acknowledged is there without the command line.
    pair.run(dir.path(), &Step::Restart(Vec::new(), None));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_histories_end_as_the_model_says(steps in prop::collection::vec(step(), 1..14)) {
        check(&steps);
    }
}

#[test]
fn a_hidden_function_keeps_its_route() {
    let wanted = |name, route| Wanted { name, route, text: 0 };
    let (stored, hiding) = (wanted(0, Some(2)), wanted(0, Some(3)));
    let other = wanted(1, Some(2));
    let begun = [Step::Deploy(stored), Step::Restart(vec![hiding], None)];
    // Another one must not get it, be it deployed or from the command line.
    check(&[&begun[..], &[Step::Deploy(other)]].concat());
    check(&[Step::Deploy(stored), Step::Restart(vec![hiding, other], None)]);
    check(&[Step::Deploy(stored), Step::Restart(vec![other, hiding], None)]);
    // Until the function is deployed elsewhere, or deleted.
    check(&[&begun[..], &[Step::Deploy(hiding), Step::Deploy(other)]].concat());
    check(&[&begun[..], &[Step::Delete(0), Step::Deploy(other)]].concat());
    // Hidden twice, it is still the stored one that counts.
    let again = wanted(0, None);
    check(&[Step::Deploy(stored), Step::Restart(vec![hiding, again], None), Step::Deploy(other)]);
}

#[test]
fn of_two_deployments_at_once_with_one_route_one_is_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::on(dir.path());
    for round in 0..5 {
        let route = format!(r#"{{"route": "/both-{round}"}}"#);
        let put = &|name: &str| {
            let path = format!("/v1/functions/{name}-{round}");
            let headers = [("x-wfaas-config", &*route)];
            server.send("PUT", &path, &headers, &artifact(&says(name))).status
        };
        let mut statuses = std::thread::scope(|scope| {
            let puts = ["x", "y", "z"].map(|name| scope.spawn(move || put(name)));
            puts.map(|put| put.join().unwrap())
        });
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409, 409]);
    }
    server.stop();
    let health = Server::on(dir.path()).request("GET", "/v1/health", b"").json();
    assert_eq!((&health["functions"], &health["failed"]), (&5.into(), &0.into()));
}
