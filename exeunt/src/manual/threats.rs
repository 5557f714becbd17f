//! What is defended against, how, and what is not.
//!
//! | threat | what stands against it |
//! | --- | --- |
//! | A copied cookie is used after logout | The session is destroyed in the store before logout answers. Nothing but login creates one, so nothing brings it back: no cache, late save, touch or crash. |
//! | A failed logout looks like a success | "Logout successful" is said only when the store has said so. Otherwise 400 (or the status you set) `Unable to log out`, and the cookie stays so that trying again works. |
//! | A planted cookie is taken over by login (fixation) | A login makes a new token and ends the session that the request came with. A presented token is looked up, never created under. |
//! | One person's data shows up at another's login | A login starts with empty data. |
//! | Another site makes the browser log in, out or anything else (CSRF) | Under a [`SessionLayer`](crate::SessionLayer) an unsafe method from another site, another origin of this site or `Origin: null` is refused with 403. `SameSite=Lax` stands behind it. |
//! | The store's contents leak | It holds SHA-256 hashes of 256 random bits. No cookie can be made of them. |
//! | Logs leak | A [`Token`](crate::Token) cannot be printed. Logs name sessions by their public id. |
//! | Scripts read the cookie | HttpOnly, always. |
//! | A subdomain plants or overwrites the cookie | The prefix `__Host-`. Two cookies of our name make a visitor. |
//! | A proxy keeps a private page | `Cache-Control: no-store` and `Vary: Cookie` wherever a session was asked for. |
//! | An unattended browser | Idle timeout 30 minutes, absolute timeout 8 hours; a page that polls can say so ([`Polling`](crate::http::Polling)). |
//! | Somebody finds the browser open and locks its owner out everywhere else | Ending other sessions asks for the password where it was last given more than 5 minutes ago, a change of password always; the routes of [`AuthRouter`](crate::AuthRouter), and [`Session::is_recent`](crate::Session::is_recent) for yours. |
//! | A copied cookie is used beside its owner | Logging in again and changing the password give the session a new token; the copy is dead at once. |
//! | Guessing who has an account | [`Users::verify`](crate::Users::verify) has one answer to every kind of wrong; the application has to take equally long over each. |
//! | A login that was being checked while the password changed | [`Users::is_current`](crate::Users::is_current) is asked after the session was stored and before its token leaves. |
//! | Password reset as a way in (the server has one, the library none) | The link goes to the account's own address, begins with the configured URL, works once for 20 minutes, is kept as a hash, logs nobody in, and ends all sessions; the answer is the same for every name. |
//! | The login page sends people to another site | [`local_path`](crate::http::local_path) lets only paths on this server through. |
//! | The store is down | 503 on everything protected, never "not logged in", never "logged in". |
//!
//! Not defended against: somebody who can read the browser's memory or the traffic, a script injected into the
//! application's own pages (it cannot read the cookie, but it can act), a wrong answer of `Users`, guessing of
//! passwords (throttle logins in the application), and what a handler does after it was called with a live session: a
//! request that was let in before a logout runs on to its end.
