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
//! A dead cookie is removed with our own 401 or 303, and only for a page navigation or a client that is no browser. A
//! cookie is removed by name: the late answer to a script's request could erase the cookie of a login that came after it.
