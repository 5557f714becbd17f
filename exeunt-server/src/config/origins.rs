//! Pages of other origins, and what SameSite=None then means.

use super::{Config, ConfigError, Notice, PublicUrl, SameSite, refused};

impl Config {
    /// Who controls a page on the list acts in the session of whoever looks at it.
    pub(super) fn check_origins(&self) -> Result<(), ConfigError> {
        if self.cookie_same_site == SameSite::None && !self.cookie_is_secure() {
            return Err(refused(format_args!(
                "cookie_same_site none: browsers take such a cookie over https alone; set public_url to an https:// one"
            )));
        }
        let plain = |url: &&PublicUrl| !url.is_https() && !is_this_machine(url.host());
        match self.allowed_origins.iter().find(plain) {
            Some(url) if self.cookie_is_secure() => Err(refused(format_args!(
                "allowed_origins {url}: whoever is on the network can change a page of plain http, and would act in \
                 everybody's session; write an https:// one"
            ))),
            _ => Ok(()),
        }
    }
}

fn is_this_machine(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

/// What the operator should know of them.
pub(super) fn origin_notices(config: &Config) -> Option<Notice> {
    let origins = config.allowed_origins.iter().map(PublicUrl::origin).collect::<Vec<_>>().join(", ");
    match (origins.is_empty(), config.cookie_same_site) {
        (true, SameSite::None) => Some(Notice {
            is_warning: true,
            text: "cookie_same_site is none, but no page of another origin may use it (allowed_origins): lax is safer"
                .to_owned(),
        }),
        (true, _) => None,
        (false, SameSite::None) => Some(Notice {
            is_warning: false,
            text: format!(
                "pages of {origins} act in the session of whoever looks at them; the cookie comes along from every other \
                 site, too, and the check of Sec-Fetch-Site and Origin alone refuses those"
            ),
        }),
        (false, _) => Some(Notice {
            is_warning: false,
            text: format!(
                "pages of {origins} act in the session of whoever looks at them, if they are of the same site as this \
                 server; those of another site get no cookie, unless cookie_same_site is none"
            ),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Options;
    use super::*;

    fn decide(public_url: &str, origins: &[&str], same_site: SameSite) -> Result<Config, String> {
        let origins = origins.iter().map(|origin| origin.parse().unwrap()).collect();
        let options = Options {
            public_url: (!public_url.is_empty()).then(|| public_url.parse().unwrap()),
            allowed_origins: Some(origins),
            cookie_same_site: Some(same_site),
            ..Options::default()
        };
        Config::decide(options).map_err(|error| error.to_string())
    }

    #[test]
    fn same_site_none_and_pages_of_plain_http_are_refused_where_they_would_not_work_or_not_hold() {
        // R27, R54
        let here = "https://login.example.org";
        for (public_url, origins, same_site, refused) in [
            ("", vec![], SameSite::Lax, None),
            ("", vec!["http://app.example.org"], SameSite::Lax, None),
            (here, vec!["https://app.example.org"], SameSite::Lax, None),
            (here, vec!["https://app.example.net"], SameSite::None, None),
            (here, vec!["http://localhost:5173"], SameSite::Strict, None),
            (here, vec!["http://app.example.org"], SameSite::Lax, Some("plain http")),
            ("", vec![], SameSite::None, Some("https alone")),
            ("http://login.example.org", vec![], SameSite::None, Some("https alone")),
        ] {
            let decided = decide(public_url, &origins, same_site).map(drop);
            match refused {
                None => assert_eq!(decided, Ok(()), "{public_url} {origins:?}"),
                Some(why) => assert!(decided.unwrap_err().contains(why), "{public_url} {origins:?}"),
            }
        }
    }

    #[test]
    fn the_operator_hears_what_other_pages_may_do() {
        let here = "https://login.example.org";
        let said = |origins: &[&str], same_site| {
            origin_notices(&decide(here, origins, same_site).unwrap()).map(|notice| notice.text)
        };
        assert_eq!(said(&[], SameSite::Lax), None);
        assert!(said(&[], SameSite::None).unwrap().contains("lax is safer"));
        assert!(
            said(&["https://a.example.org"], SameSite::Lax).unwrap().contains("https://a.example.org act")
        );
        assert!(said(&["https://a.example.net"], SameSite::None).unwrap().contains("every other site"));
    }
}
