# What the pages and messages say, in English. Another language is another file of this kind: texts/TAG.ftl in the brand folder, or a line in
# html/texts.rs. Syntax: https://projectfluent.org/fluent/guide/

## Around every page
skip = Skip to the content
nav = Pages
nav-home = Home
nav-sessions = Sessions
log-out = Log out
log-in = Log in

## Fields
username = Username
email = E-mail address
email-if-any = E-mail address (optional)
password = Password
password-again = Password again
show-password = Show password
remember = Remember me on this device

## Log in and out
login-title = Log in
login-wrong = The username or the password is wrong. Check both and try again.
login-unavailable = Logging in is not possible just now: the server cannot reach what it needs. Try again in a moment.
too-many-tries = Too many tries, so nothing was done. Wait a while, then try again.
login-ended = Your session has ended. Log in to go on where you were.
logged-out = You are logged out.
cookie-not-kept = You are not logged in. If you just logged in, your browser did not keep the session cookie.
cookie-https = The cookie is for https only, and browsers drop it where a page was opened over http.
cookie-allow = Check that your browser allows cookies for this site.
cookie-address = The address of this server is
not-logged-out-title = You are not logged out
not-logged-out = You are not logged out: the session could not be ended. Try again.
not-everywhere = You are not logged out everywhere: the sessions could not all be ended. Try again.
to-sessions = Go to your sessions
log-out-again = Try again to log out

## Home
home-title = Hello, { $name }.
home-since = You logged in
home-logout = Logging out ends this session for good: on this server, in every tab, and for every copy of its cookie.
home-sessions = Where you are logged in

## Sessions
sessions-title = Your sessions
sessions-hint = Every place where you are logged in. If you do not recognise one, end it, and change your password.
sessions-this = this one
sessions-remembered = remembered
sessions-seen = Last seen
sessions-began = Logged in
sessions-expires = Ends if unused
sessions-ends = Ends
sessions-end = End
sessions-end-others = End all others
sessions-end-all = Log out everywhere
sessions-ended-one = That session has ended.
sessions-ended-others = All other sessions have ended.
client-on = { $browser } on { $system }
client-somewhere = Something on { $system }
client-unknown = An unknown program

## Passwords
nav-password = Password
password-title = Change your password
password-hint = All your other sessions end with the old password. This one goes on.
password-current = Current password
password-new = New password
password-do = Change password
password-wrong = This is not your current password.
password-changed-title = Your password is changed
password-changed = All your other sessions have ended.
password-sessions-left = The password is changed, but your sessions could not be ended yet. They end as soon as their store answers; this one ends, too. Log in with the new password.
again-title = Confirm that it is you
again-hint = You logged in a while ago. Type your password once more to go on.
again-do = Go on
again-not = Go back without it

## For administrators
admin-accounts = Accounts
admin-sessions = Live sessions
admin-only = This page is for administrators.
admin-own = This is your own account: it cannot be disabled or removed here. Your password has a page of its own.
admin-find = Find by name
admin-find-do = Find
admin-find-all = All accounts
admin-find-none = No account has this in its name.
admin-administrator = administrator
admin-disabled = disabled
admin-added = Added
admin-add = Add an account
admin-add-do = Add
admin-sessions-of = Sessions
admin-no-sessions = No session is live.
admin-end-sessions = End all sessions
admin-email-hint = Where messages to the owner go, such as a link to reset the password. Leave it empty for none. The old address hears of the change.
admin-email-do = Save address
admin-role = Role
admin-role-hint = An administrator can do everything on these pages. With another role all sessions of the account end.
admin-make-admin = Make an administrator
admin-make-user = Take the administrator’s role
admin-give-up = Give up the administrator’s role
admin-last = This is the last administrator who may log in. Make another one first.
admin-left-title = Done, but not all of it yet
admin-left = The account is changed. Its sessions could not be ended yet: they end as soon as their store answers.
admin-unknown = Whether the change happened is not known. Look at the account before you try again.
admin-password = Set another password
admin-password-hint = All sessions of the account end. Tell its owner the password in a safe way, and ask for it to be changed.
admin-password-do = Set password
admin-access = Access
admin-access-hint = Whoever is disabled or removed is logged out at once, everywhere. Removing an account cannot be undone.
admin-enable = Enable
admin-disable = Disable
admin-remove = Remove for good
admin-sessions-hint = Everybody's, the oldest first.
page-before = Earlier
page-after = More

## What happened
admin-events = Events
admin-events-hint = What happened, the newest first. It stands here after a second or two, and is forgotten after a while.
admin-events-of = Events of { $name }
admin-events-of-account = What happened to this account
admin-events-find = Those of one account, by its name
admin-events-account = To the account
admin-events-all = Events of everybody
admin-events-none = Nothing is known to have happened.
admin-events-none-of = Nothing is known to have happened to such an account. Check the name; what is old is forgotten.
admin-events-none-older = Nothing older is known.
page-newest = Newest
page-newer = Newer
page-older = Older
lately-title = What happened lately on your account
lately-hint = If you do not recognise something here, log out everywhere and change your password.
lately-nothing = Nothing yet.
lately-unknown = What happened lately cannot be told just now. The sessions above are right all the same, and you can end them.
event-sessions =
    { $count ->
        [one] { $count } session
       *[other] { $count } sessions
    }
event-login = Logged in
event-login-refused = Login refused
event-login-refused-password = Login refused: wrong password
event-login-refused-nobody = Login refused: there is no account of that name
event-login-refused-disabled = Login refused: the account is disabled
event-login-refused-changed = Login refused: the account was changed at that moment
event-login-refused-another = Confirmation refused: it was that of another account
event-login-refused-current = Wrong password where the current one was asked for
event-logout = Logged out
event-session-ended = Session ended
event-session-ended-expired = Session ended: its time was up
event-session-ended-limit = Session ended: the account had too many
event-session-ended-login = Session ended: another login took its place
event-session-ended-all = Session ended, together with others of the account
event-session-ended-changed = Session ended: the account was changed
event-session-ended-disabled = Session ended: the account was disabled
event-session-ended-removed = Session ended: the account was removed
event-session-ended-password = Session ended: there is a new password
event-session-renewed = Session got a new cookie after the password was given again
event-session-refused = A cookie was sent that opens no session
event-dead-token = A cookie was used after its session had ended
event-dead-token-logout = A cookie was used after logging out
event-cross-site = A request from another site was refused
event-cross-site-form = A form that did not belong to the session was refused
event-throttled = Too many tries: the next one has to wait
event-throttled-account = Too many wrong passwords for this account: the next try has to wait
event-throttled-account-stopped = Too many wrong passwords for this account: no more are taken from unknown clients
event-throttled-clients = Too many wrong passwords from clients used before: the next try has to wait
event-throttled-clients-stopped = Too many wrong passwords from clients used before: no more are taken
event-throttled-source = Too many wrong passwords from one address: the next try has to wait
event-throttled-reset = Too many requests for reset links from one address
event-password-changed = Password changed
event-password-set = Another password set
event-password-reset = Password set by a link that was sent
event-reset-requested = A link to set a new password was asked for
event-reset-requested-nobody = A link to set a new password was asked for, and nobody got one
event-account-added = Account added
event-account-added-administrator = Account of an administrator added
event-account-enabled = Account enabled
event-account-disabled = Account disabled
event-account-changed = Account changed
event-account-administrator = Account made that of an administrator
event-account-user = Account no longer that of an administrator
event-account-unlocked = Wrong passwords forgotten: logging in is open again
event-account-email = E-mail address changed
event-account-removed = Account removed
event-setup-link = A link to set up the first administrator was made
event-lost =
    { $count ->
        [one] { $count } event is missing here: it could not be kept
       *[other] { $count } events are missing here: they could not be kept
    }
event-lost-flood =
    { $count ->
        [one] { $count } refusal of a stranger is left out here: there were too many
       *[other] { $count } refusals of strangers are left out here: there were too many
    }
by-owner = by its owner
by-you = by you
by-administrator = by an administrator
by-administrator-named = by the administrator { $name }
by-operator = by whoever runs the server
by-system = by the server itself

## Times
time-now = just now
time-minutes-ago =
    { $count ->
        [one] { $count } minute ago
       *[other] { $count } minutes ago
    }
time-hours-ago =
    { $count ->
        [one] { $count } hour ago
       *[other] { $count } hours ago
    }
time-days-ago =
    { $count ->
        [one] { $count } day ago
       *[other] { $count } days ago
    }
time-soon = in less than a minute
time-in-minutes =
    { $count ->
        [one] in { $count } minute
       *[other] in { $count } minutes
    }
time-in-hours =
    { $count ->
        [one] in { $count } hour
       *[other] in { $count } hours
    }
time-in-days =
    { $count ->
        [one] in { $count } day
       *[other] in { $count } days
    }

## First set-up
setup-short = Set up
setup-title = Create the first administrator
setup-hint = This link works once. The account made here can do everything on this server.
setup-do = Create account and log in
setup-dead-title = This link does not work
setup-dead = A set-up link works once, for 15 minutes, while there is no account. On the server, “exeunt account setup-link” makes a new one.

## A forgotten password
reset-forgotten = Forgotten your password?
reset-ask-title = Forgotten your password?
reset-ask-hint = You get a message with a link to set a new one, if your account has an e-mail address. Otherwise ask whoever runs this server.
reset-ask-who = Username or e-mail address
reset-ask-do = Send the link
reset-asked-title = Look into your mail
reset-asked = If there is such an account with an e-mail address, a message is on its way. Its link works once, and for a short time.
reset-busy = Too many requests wait for an answer, so nothing was done. Go back and try again in a few seconds.
reset-title = Set a new password
reset-hint = For the account { $name }. Setting the password logs the account out everywhere.
reset-do = Set password
reset-dead-title = This link does not work
reset-dead = A link works once, for a short time, and until a newer one is sent or the account is changed.
reset-done-title = Your password is set
reset-done = The account is logged out everywhere. Log in with the new password.
reset-sessions-left = Your password is set, but the sessions of the account could not be ended yet. They end as soon as their store answers. Log in with the new password.
reset-unknown = Whether your password is set is not known. Try to log in with it; if it is refused, open the link once more.
to-reset = Ask for a new link

## Messages by e-mail: plain text, without a link but the one to set a new password
mail-reset-subject = Set a new password
mail-reset = Somebody asked for a new password for the account "{ $name }".
mail-reset-do = If it was you, set it here within { $lasts }:
mail-reset-once = The link works once. Setting the password logs the account out everywhere.
mail-reset-not-you = If it was not you, do nothing: your password stays as it is.
mail-minutes =
    { $count ->
        [one] { $count } minute
       *[other] { $count } minutes
    }
mail-hours =
    { $count ->
        [one] { $count } hour
       *[other] { $count } hours
    }
mail-account = Account: "{ $name }"
mail-time = Time:    { $time } (UTC)
mail-password-changed-subject = Your password was changed
mail-password-changed = The password of the account was changed.
mail-password-reset-subject = Your password was reset
mail-password-reset = The password of the account was set anew, by a link that was sent to this address.
mail-email-changed-subject = Your e-mail address was changed
mail-email-changed = The account has another e-mail address now, or none. Its messages no longer go here.
mail-new-client-subject = A login from a new device
mail-new-client =
    Somebody logged in to the account with { $client }.
    It was not used there before.
mail-new-client-from =
    Somebody logged in to the account with { $client }, from the address { $address }.
    It was not used there before.
mail-client-unknown = an unknown program
mail-if-you = If it was you, there is nothing to do.
mail-if-not-you =
    If it was not you, somebody else has access: set a new password at once,
    end all sessions, and tell whoever runs this service.

## Names, passwords and addresses that cannot be
name-empty = Choose a name.
name-long = A name has at most 64 characters.
name-control = A name has no control characters.
name-space = A name does not start or end with white space.
name-taken = An account of that name exists already.
name-bad = This cannot be a name.
email-space = An e-mail address has no white space and no control characters.
email-at = An e-mail address has an @ in it.
email-domain = What is behind the @ is no domain.
email-long = An e-mail address has at most 254 bytes.
email-bad = An e-mail address is like name@example.org.
password-empty = Choose a password.
password-long = A password has at most 1024 bytes.
password-short =
    { $count ->
        [one] A password has at least { $count } character.
       *[other] A password has at least { $count } characters.
    }
password-common = This is a common password, or made of common ones. Choose another one.
password-own-words = This is little more than your name or that of this site. Choose another one.
password-repeats = This repeats a few characters. Choose another one.
password-sequence = This goes along the alphabet or the keyboard. Choose another one.
password-date = This is little more than a date. Choose another one.
password-breached = This is known from a breach of another site. Choose another one.
password-busy = Nothing was done: too many passwords are being checked just now. Type it again in a few seconds.
password-bad = This cannot be a password. Choose another one.
passwords-differ = The two passwords are not the same. Type both again.

## What went wrong
to-home = Go to the home page
to-login = Go to the login page
error-title = Something went wrong
error-text = The server made a mistake, and has made a note of it. Try again.
error-not-done = Nothing was done. Go back and try again.
error-400 = The request cannot be understood
error-401 = You are not logged in
error-401-text = Nothing was done: your session has ended. Log in and try again.
error-403 = Not allowed
error-403-text = This request came from another site, or from a page of an earlier session, so nothing was done. Go back, load the page again, and try once more.
error-404 = Not found
error-404-text = There is nothing at this address.
error-405 = This cannot be done here
error-408 = The request took too long
error-409 = Somebody else was faster
error-413 = Too large
error-415 = Unknown form of data
error-422 = Something is missing or malformed
error-429 = Too many tries
error-429-text = Nothing was done. Wait a while, then try again.
error-503 = Not available just now
error-503-text = The server cannot reach what it needs to answer. Nothing is known to be lost: try again in a moment.
