//! The compose file, against itself and the files that it names.

use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::is_pinned;

/// What names something at the top of the file.
const NAMING: &[&str] = &["networks", "volumes", "secrets"];

/// What every node of ours is told.
const TRUSTED: &str = "EXEUNT_TRUSTED_PROXIES";

/// A compose file.
#[derive(Debug)]
pub(super) struct Compose(Value);

impl Compose {
    pub(super) fn parse(text: &str) -> Result<Self> {
        Ok(Self(serde_saphyr::from_str(text).context("compose.yaml")?))
    }

    fn top(&self, key: &str) -> Vec<(&str, &Value)> {
        entries(self.0.get(key))
    }

    fn services(&self) -> Vec<(&str, &Value)> {
        self.top("services")
    }

    /// The names of secrets and the files that have them.
    pub(super) fn secret_files(&self) -> Vec<(String, String)> {
        let files = self.top("secrets").into_iter();
        files.map(|(name, secret)| (name.to_owned(), text(secret, "file").to_owned())).collect()
    }

    /// The services that run the image of this repository, with their variables.
    pub(super) fn nodes(&self) -> Vec<(String, Vec<(String, String)>)> {
        let own = self.services().into_iter().filter(|(_, service)| service.get("build").is_some());
        own.map(|(name, service)| (name.to_owned(), environment(service))).collect()
    }

    /// Names that lead nowhere, images without a version, files that are not there, secrets in the open.
    pub(super) fn check(&self, root: &Path) -> Vec<String> {
        let mut findings = Vec::new();
        let mut find = |what: String| findings.push(format!("compose.yaml: {what}"));
        let mut used: Vec<(&str, String)> = Vec::new();
        for (name, service) in self.services() {
            let image = text(service, "image");
            if !is_pinned(image) {
                find(format!("{name}: {image:?}: the version is not pinned"));
            }
            for other in names(service.get("depends_on")) {
                if !self.services().iter().any(|(service, _)| *service == other) {
                    find(format!("{name}: waits for `{other}`, which is no service"));
                }
            }
            for &kind in NAMING {
                for other in names(service.get(kind)) {
                    let source = other.split(':').next().unwrap_or_default();
                    if kind == "volumes" && source.starts_with(['.', '/']) {
                        if !root.join("deploy").join(source).exists() {
                            find(format!("{name}: {source}: there is no such file"));
                        }
                        continue;
                    }
                    if !self.top(kind).iter().any(|(known, _)| *known == source) {
                        find(format!("{name}: `{source}` is not among the {kind}"));
                    }
                    used.push((kind, source.to_owned()));
                }
            }
            if let Some(build) = service.get("build") {
                let context = root.join("deploy").join(text(build, "context"));
                if !context.join(text(build, "dockerfile")).is_file() {
                    find(format!("{name}: there is no {}", text(build, "dockerfile")));
                }
            }
            for (variable, value) in environment(service) {
                let secret = ["PASSWORD", "SECRET", "TOKEN"].iter().any(|word| variable.contains(word));
                let authority = value.split_once("://").and_then(|(_, rest)| rest.split_once('@'));
                if (secret && !variable.ends_with("_FILE")) || authority.is_some() {
                    find(format!("{name}: {variable}: a secret belongs in a file under `secrets`"));
                }
            }
        }
        for &kind in NAMING {
            for (name, _) in self.top(kind) {
                if !used.contains(&(kind, name.to_owned())) {
                    find(format!("nobody uses `{name}` of the {kind}"));
                }
            }
        }
        for (name, file) in self.secret_files() {
            if !file.starts_with("./secrets/") {
                find(format!("the secret `{name}` is not in secrets/, which git ignores"));
            }
        }
        findings.extend(self.check_stores());
        findings.extend(self.check_addresses());
        findings
    }

    /// What voids the promises if it is left out.
    fn check_stores(&self) -> Vec<String> {
        let redis = self.services().into_iter().filter(|(name, _)| *name == "redis");
        let mut findings = Vec::new();
        for (name, service) in redis {
            let command: Vec<String> = names(service.get("command"));
            for (flag, value) in
                [("--appendonly", "yes"), ("--appendfsync", "always"), ("--maxmemory-policy", "noeviction")]
            {
                let found = command.windows(2).any(|pair| pair == [flag, value]);
                if !found {
                    findings.push(format!("compose.yaml: {name}: it has to run with {flag} {value}"));
                }
            }
        }
        findings
    }

    /// That nobody else is given an address that a service has for itself.
    fn check_addresses(&self) -> Vec<String> {
        let mut findings = Vec::new();
        for (name, service) in self.services() {
            for (network, own) in entries(service.get("networks")) {
                let Ok(address) = text(own, "ipv4_address").parse::<Ipv4Addr>() else { continue };
                let pools = self.0.pointer(&format!("/networks/{network}/ipam/config"));
                let mut pools = pools.and_then(Value::as_array).into_iter().flatten();
                if !pools.any(|pool| is_outside(address, text(pool, "ip_range"))) {
                    let what =
                        "could be given to another service that starts before: set an ip_range without it";
                    findings.push(format!("compose.yaml: {name}: {address} {what}"));
                }
            }
        }
        findings
    }

    /// That the servers believe the proxy, nobody else, and that it says who is asking.
    pub(super) fn check_proxy(&self, nginx: &str) -> Vec<String> {
        let mut findings = Vec::new();
        let proxy = self.services().into_iter().find(|(name, _)| *name == "nginx");
        let networks = proxy.map(|(_, service)| entries(service.get("networks"))).unwrap_or_default();
        let address = networks
            .iter()
            .map(|(_, network)| text(network, "ipv4_address"))
            .find(|address| !address.is_empty());
        let expected = format!("{}/32", address.unwrap_or_default());
        for (name, variables) in self.nodes() {
            let trusted = variables.iter().find(|(variable, _)| variable == TRUSTED);
            if trusted.is_none_or(|(_, value)| *value != expected) {
                findings.push(format!("compose.yaml: {name}: {TRUSTED} is not nginx's address, {expected}"));
            }
            if !nginx.contains(&format!("server {name}:8080 ")) {
                findings.push(format!("nginx.conf: {name} gets no requests"));
            }
        }
        for header in [
            "proxy_set_header X-Forwarded-For $remote_addr;",
            "proxy_set_header Forwarded \"\";",
            "proxy_set_header X-Request-Id $request_id;",
        ] {
            if !nginx.contains(header) {
                findings.push(format!("nginx.conf: `{header}` is missing"));
            }
        }
        findings
    }
}

/// Whether a range such as 10.0.0.128/25 is one, and has not this address in it.
fn is_outside(address: Ipv4Addr, range: &str) -> bool {
    let Some((first, bits)) = range.split_once('/') else { return false };
    let (Ok(first), Ok(bits)) = (first.parse::<Ipv4Addr>(), bits.parse::<u32>()) else { return false };
    let mask = u32::MAX.checked_shl(32_u32.saturating_sub(bits)).unwrap_or(0);
    bits <= 32 && (first.to_bits() ^ address.to_bits()) & mask != 0
}

fn entries(value: Option<&Value>) -> Vec<(&str, &Value)> {
    let object = value.and_then(Value::as_object);
    object.into_iter().flatten().map(|(name, value)| (name.as_str(), value)).collect()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The names in a list, or the keys of a map.
fn names(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::Array(list)) => list.iter().filter_map(|name| Some(name.as_str()?.to_owned())).collect(),
        Some(Value::Object(map)) => map.keys().cloned().collect(),
        _ => Vec::new(),
    }
}

/// The variables of a service; `${NAME:-default}` stands for its default.
fn environment(service: &Value) -> Vec<(String, String)> {
    let variables = entries(service.get("environment")).into_iter();
    let value = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    variables.map(|(name, given)| (name.to_owned(), default(&value(given)))).collect()
}

fn default(value: &str) -> String {
    let inner = value.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    match inner.and_then(|inner| inner.split_once(":-")) {
        Some((_, default)) => default.to_owned(),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = include_str!("../../../deploy/compose.yaml");
    const NGINX: &str = include_str!("../../../deploy/nginx.conf");

    fn findings(text: &str, nginx: &str) -> Vec<String> {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        let compose = Compose::parse(text).unwrap();
        [compose.check(root), compose.check_proxy(nginx)].concat()
    }

    #[test]
    fn the_compose_file_is_sound_and_a_broken_one_is_not() {
        assert_eq!(findings(OURS, NGINX), [""; 0]);
        assert_eq!(Compose::parse(OURS).unwrap().nodes().len(), 3);
        for (good, bad, said) in [
            ("redis:7.4.6", "redis:latest", "not pinned"),
            ("postgres: { condition", "postgre: { condition", "`postgre`, which is no service"),
            ("[\"redis:/data\"]", "[\"data:/data\"]", "`data` is not among the volumes"),
            ("[\"redis:/data\"]", "[]", "nobody uses `redis` of the volumes"),
            ("secrets: [redis_config]", "secrets: [redis]", "`redis` is not among the secrets"),
            ("./nginx.conf:", "./nginx2.conf:", "./nginx2.conf: there is no such file"),
            ("networks: [inside]", "networks: [inner]", "`inner` is not among the networks"),
            ("deploy/Containerfile", "deploy/Dockerfile", "there is no deploy/Dockerfile"),
            ("POSTGRES_PASSWORD_FILE: /run", "POSTGRES_PASSWORD: /run", "a secret belongs in a file"),
            (
                "EXEUNT_CONFIG: /run/secrets/exeunt_config",
                "EXEUNT_STORE: redis://:x@redis",
                "a secret belongs",
            ),
            ("./secrets/tls.key", "./tls.key", "not in secrets/"),
            ("- noeviction", "- allkeys-lru", "--maxmemory-policy noeviction"),
            ("- always", "- everysec", "--appendfsync always"),
            ("172.30.80.2/32", "172.30.80.0/24", "not nginx's address"),
            ("ipv4_address: 172.30.80.2", "ipv4_address: 172.30.80.3", "not nginx's address"),
            (", ip_range: 172.30.80.128/25", "", "could be given to another"),
            ("172.30.80.128/25", "172.30.80.0/25", "could be given to another"),
            ("  node3: *node", "  node4: *node", "node4 gets no requests"),
        ] {
            assert!(OURS.contains(good), "{good}");
            let found = findings(&OURS.replace(good, bad), NGINX);
            assert!(found.iter().any(|found| found.contains(said)), "{bad}: {found:?}");
        }
        for header in ["X-Forwarded-For $remote_addr", "Forwarded \"\"", "X-Request-Id"] {
            let found = findings(OURS, &NGINX.replace(header, "X-Other $remote_addr"));
            assert!(found.iter().any(|found| found.contains("is missing")), "{header}: {found:?}");
        }
        assert!(Compose::parse("services: [").is_err());
    }
}
