//! Why each default is what it is.
//!
//! | default | why | change it with |
//! | --- | --- | --- |
//! | idle timeout 30 min, absolute timeout 8 h | satisfies NIST SP 800-63B AAL2 and OWASP at once | [`Sessions::lifetime`](crate::Sessions::lifetime) |
//! | remembered: 30 days, idle and absolute at once | whoever asks to be remembered wants to come back after a pause; 400 days is the most that browsers keep | [`Lifetime::remember_for`](crate::Lifetime::remember_for) |
//! | seen again is noted once in a 60th of the idle timeout | half a minute of error for one write in 30 s instead of one a request | follows the idle timeout |
//! | at most 100 sessions for each user; the longest unseen ends | nobody has 100 browsers, and a stolen password should not fill the store | [`Sessions::limit`](crate::Sessions::limit) |
//! | a login counts as recent for 5 minutes | long enough to tidy up one's sessions, too short for whoever finds the browser open (OWASP ASVS 7.5) | [`Session::is_recent`](crate::Session::is_recent) in a route of your own |
//! | cookie `__Host-session` | browsers then insist on Secure, Path=/ and no Domain: no subdomain can set it | [`CookieConfig::name`](crate::CookieConfig::name) |
//! | Secure | a cookie that travels in the clear is anybody's | [`CookieConfig::secure`](crate::CookieConfig::secure), to try things out |
//! | HttpOnly | scripts need no token | nothing |
//! | SameSite=Lax | a link from elsewhere arrives logged in, a form from elsewhere does not | [`CookieConfig::same_site`](crate::CookieConfig::same_site) |
//! | no Max-Age | the browser drops it when it closes; the server's timeouts hold either way | `"remember": true`, [`Visitor::remember`](crate::Visitor::remember) |
//! | requests from other sites: 403 | forged requests need no token in forms to be told from honest ones | [`SessionLayer::trust_origin`](crate::SessionLayer::trust_origin) |
//! | pages of other origins: none | each page on the list acts in everybody's session | `allowed_origins`; [other origins](super::other_origins) |
//! | a preflight holds for 10 minutes | few of them, and a changed list is soon known; the request itself is checked each time | nothing |
//! | the API's description needs no session | who writes a client reads how to log in before they can; it says nothing of the installation but its cookie's name | nothing |
//! | a logout that failed: 400 | the contract of this project; 503 says the same to machines | [`AuthRouter::failure_status`](crate::AuthRouter::failure_status) |
//! | at most 8,192 events wait for hooks; further ones are counted and not told | a hook that hangs must not hold up a logout, nor take the memory | nothing; [`Events::dropped`](crate::Events::dropped) counts |
//! | the server's events are kept for 90 days | attacks are often found weeks later (PCI DSS 4.0, 10.5.1: three months at hand); addresses and clients are personal data, so not for longer | `keep_events_for` of the server, 1h to 3650days |
//! | login body at most 16 KiB | credentials are short | nothing |
//! | session data at most 64 KiB | it is read with every request; keep more elsewhere and its key here | nothing |
//! | `Clear-Site-Data: "cache", "storage"` for a person's logout in a browser | `"cookies"` would reach every host of the registrable domain | nothing |
//!
//! Of the server `exeunt` (its options are in `exeunt config`):
//!
//! | default | why | change it with |
//! | --- | --- | --- |
//! | passwords of 15 characters at least | NIST SP 800-63B-4, section 3.1.1.2, where a password is all that is asked for. Characters are code points after NFC | `password_min_length`, 8 to 64 |
//! | passwords of 1024 bytes at most | more than the 64 characters that NIST wants taken; hashing more is work for nothing. Longer ones are refused, none is cut | nothing |
//! | no rules about digits, signs or capitals, no date of expiry | NIST, same section: they make people choose worse | nothing |
//! | refused: what takes fewer than 1000 million guesses and has fewer than 8 characters that are in no list and no pattern | the lists and patterns of zxcvbn: common passwords, English words, names; repeats, sequences, dates, keyboards; with the account's name, the host of `public_url` and the word exeunt. Three common words in a row take fewer, four take more | nothing |
//! | no list of breached passwords | 40 GB, and it is yours to fetch: [Have I Been Pwned](https://haveibeenpwned.com/Passwords) publishes it. It is read from disk with some 40 small reads for each new password | `breached_passwords`: a file of `SHA1:COUNT` lines sorted by hash, or a folder of range files |
//! | Argon2id, 19 MiB, 2 passes, 1 lane | OWASP's least; a login replaces a hash that was made for less | nothing |
//! | as many hashes at once as cores, 64 waiting for each | more at once are not faster and take 19 MiB each; who waits behind 64 waits for seconds | `passwords_at_once` |
//! | 10 wrong tries at an account are free, then 1 s, 2 s … 1 h; 80 stop it | a person mistypes a few times; NIST allows 100 in a row, and 19 are kept for the owner's own clients | nothing; `exeunt account unlock NAME` forgets them |
//! | clients used before: 5 free, then 1 s … 15 min; 19 stop them | with the 80 of strangers that is 99 | nothing; as above |
//! | an address, or the /64 of one: 100 free, then 1 s … 5 min; one is forgotten each minute | many people share an address, and a flat block would shut out all of them | nothing |
//! | the cookie `__Host-client` (over plain http `client`), 400 days, for 20 clients of an account and 5 accounts of a client | as long as browsers keep any | nothing |
//! | listens on `127.0.0.1:8080` | TLS is up to a proxy, and what has none in front is for this machine alone | `listen`, with `public_url` |
//! | links, cookies and the cross-site check go by no `Host` header | whoever asks writes it (OWASP, Forgot Password Cheat Sheet) | `public_url` says what they go by |
//! | nobody's forwarded headers are believed | anybody can write them (OWASP ASVS 5.0, 4.1.3) | `trusted_proxies` |
//! | one SQLite file, `exeunt.db`, for sessions and accounts | nothing to install; a change of an account and the end of its sessions are one transaction | `store`, `accounts` |
//! | 64 MiB for copies of live sessions of a file | most requests then ask memory; a copy goes before the end of its session is acknowledged | `near_cache_mib` |
//! | timeouts, limit, cookie, origins and the status of a failed logout as in the table above | as above | `idle_timeout`, `absolute_timeout`, `remember_for`, `sessions_per_account`, `cookie_name`, `cookie_domain`, `cookie_same_site`, `allowed_origins`, `logout_failure_status` |
//! | 1,024 connections at once | each may take 256 KiB and a descriptor: 256 MiB where all do | `max_connections` |
//! | a link to reset a password works for 20 minutes | slow mail comes through, and a mailbox that is broken into later has none that works (OWASP, Forgot Password Cheat Sheet: as short as may be) | `reset_link_for`, 1m to 24h |
//! | 3 such links an hour for an account, 20 requests an hour from a source | enough for a person and an office, too few to fill a mailbox | nothing |
//! | no messages are sent | they need a mail server, or say so for development | `smtp`, `mail_dir`, `mail_log`, `mail_from` |
//! | notices and pages are in English where nothing else is asked for | who asks for a link gets it in the language of their browser; a notice may be caused by somebody else, who must not choose it | `language` |
//! | the pages' own look | yours needs no fork | `brand_name`, `brand_logo`, `brand_accent`, `brand_links`, `brand_folder` |
//! | no figures | whoever reaches their listener can read them | `metrics` |
//! | the log from `info` on, as text on a terminal and as JSON elsewhere | a line a request and each event, for people or for machines | `log`, `log_format` |
//!
//! A dead cookie is removed with our own 401 or 303, and only for a page navigation or a client that is no browser. A
//! cookie is removed by name: the late answer to a script's request could erase the cookie of a login that came after it.
