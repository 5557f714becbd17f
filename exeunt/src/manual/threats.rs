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
//! | Finding out who has an account | [`Users::verify`](crate::Users::verify) has one answer to every kind of wrong; the application has to take equally long over each. |
//! | A login that was being checked while the password changed | [`Users::is_current`](crate::Users::is_current) is asked after the session was stored and before its token leaves. |
//! | Password reset as a way in (the server has one, the library none) | The link goes to the account's own address, begins with the configured URL, works once for 20 minutes, is kept as a hash, logs nobody in, and ends all sessions; the answer is the same for every name. |
//! | The login page sends people to another site | [`local_path`](crate::http::local_path) lets only paths on this server through. |
//! | The store is down | 503 on everything protected, never "not logged in", never "logged in". |
//!
//! Not defended against: somebody who can read the browser's memory or the traffic, a script injected into the
//! application's own pages (it cannot read the cookie, but it can act), a wrong answer of `Users`, and what a handler does
//! after it was called with a live session: a request that was let in before a logout runs on to its end. Passwords are the
//! application's: where it has its own `Users`, it throttles by itself and says [`UsersError::throttled`](crate::UsersError::throttled),
//! which is answered with 429 and `Retry-After`.
//!
//! # Guessing at the server's login
//!
//! What the server `exeunt` (and its `Accounts` as a `Users`) does about people who guess. Sources: NIST SP 800-63B-4, sections
//! 3.1.1 and 3.2.2; OWASP ASVS 5.0, V6.
//!
//! | threat | what stands against it |
//! | --- | --- |
//! | Guessing at one account, from many addresses | Tries are counted by the account's name. After 10 wrong ones each further one waits: 1 s, 2 s, 4 s and so on to an hour. After 80 no more are taken, until the password is set anew or an operator runs `exeunt account unlock`. |
//! | Guessing at many accounts, from one address | Tries are counted by IPv4 address, and by the /64 of IPv6. After 100 each further one waits, 1 s to 5 minutes; one failure a minute is forgotten. The right password of somebody's own account does not reset it. |
//! | Many guesses at once, on many nodes | A try is taken from the count before the password is hashed, in one step of the accounts' database, which all nodes share. It is given back if it was right. |
//! | Locking somebody out by guessing at their account | Whoever logs in gets a cookie (`__Host-client`, 400 days) with a badge of the client. Tries from a client that was used for the account before are counted apart, whatever strangers do and from whichever address they come: 5 at once, then with waits of 1 s to 15 minutes, 19 in a row at most. The badge proves nothing, and lets nobody in. |
//! | Slowing down others by guessing | The count is asked at a check of a password, and nowhere else: logout and live sessions never ask it. A try that is refused costs no hash, writes nothing, and makes no wait longer. |
//! | Filling the table of counts | A count has a fixed size, whatever was typed. A new one costs the guesser a hash. Each minute those above 100,000 go, the lowest first, so that made-up names drive out one another, and not the count of who is guessed at. |
//! | Finding out who has an account, by the answer | Unknown names, wrong passwords, disabled accounts and names under throttle are answered alike, to the byte. Names that nobody has are counted and throttled as others are. |
//! | Finding out who has an account, by the time | A name that nobody has costs the same steps and the same Argon2id hash. |
//! | Using up the machine with logins | As many hashes as cores (`passwords_at_once`), each 19 MiB, on threads that give way to everything else; 64 more wait for each; the next ones get 503 with `Retry-After`. |
//! | Passwords that everybody tries first | 15 characters at least. Refused are common passwords, what is made of two or three of them, the account's own name, the site's, repeats, sequences, dates and walks on the keyboard; and, where there is a list (`breached_passwords`), all in it. |
//! | The accounts' database leaks | Argon2id hashes under salts of their own; badges of clients as SHA-256 of 128 random bits. The counts are under hashes of names and addresses, from which short ones can be found by trying: take them for personal data. |
//!
//! If the count cannot be read or written, no password is checked and the answer is 503: the count is in the database that the
//! accounts are in, so nobody could log in anyway, and who can break the count must not guess freely.
//!
//! What is left: somebody with tens of thousands of addresses can guess at each of very many accounts a few times, and can keep new
//! clients of one account waiting, or stop them after some two and a half days of it (the 80th wrong try); the owner still gets in by each client used
//! before. All clients used before together have 19 wrong tries, so a person who forgot their password has to have it set. A badge
//! that was copied from a browser lets whoever has it use up those 19. Behind a proxy that is not in `trusted_proxies` everybody seems to
//! come from one address, so addresses are not counted there, and a warning at start says so. Counts and badges are not copied by
//! `exeunt store copy`. A count that nobody adds to for 400 days is forgotten.
