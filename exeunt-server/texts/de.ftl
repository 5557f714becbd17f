# Was die Seiten und Nachrichten sagen, auf Deutsch.

## Um jede Seite
skip = Zum Inhalt springen
nav = Seiten
nav-home = Start
nav-sessions = Sitzungen
log-out = Abmelden
log-in = Anmelden

## Felder
username = Benutzername
email = E-Mail-Adresse
email-if-any = E-Mail-Adresse (freiwillig)
password = Passwort
password-again = Passwort noch einmal
show-password = Passwort zeigen
remember = Auf diesem Gerät angemeldet bleiben

## An- und Abmelden
login-title = Anmelden
login-wrong = Der Benutzername oder das Passwort ist falsch. Prüfen Sie beides und versuchen Sie es noch einmal.
login-unavailable = Anmelden geht gerade nicht: Der Server erreicht nicht, was er dazu braucht. Versuchen Sie es gleich noch einmal.
too-many-tries = Zu viele Versuche, deshalb ist nichts geschehen. Warten Sie eine Weile und versuchen Sie es dann noch einmal.
login-ended = Ihre Sitzung ist zu Ende. Melden Sie sich an, um dort weiterzumachen, wo Sie waren.
logged-out = Sie sind abgemeldet.
cookie-not-kept = Sie sind nicht angemeldet. Falls Sie sich gerade angemeldet haben, hat Ihr Browser das Sitzungs-Cookie nicht behalten.
cookie-https = Das Cookie gilt nur für https. Wo eine Seite über http geöffnet wurde, verwerfen Browser es.
cookie-allow = Prüfen Sie, ob Ihr Browser Cookies für diese Seite erlaubt.
cookie-address = Die Adresse dieses Servers ist
not-logged-out-title = Sie sind nicht abgemeldet
not-logged-out = Sie sind nicht abgemeldet: Die Sitzung konnte nicht beendet werden. Versuchen Sie es noch einmal.
not-everywhere = Sie sind nicht überall abgemeldet: Die Sitzungen konnten nicht alle beendet werden. Versuchen Sie es noch einmal.
to-sessions = Zu Ihren Sitzungen
log-out-again = Noch einmal abmelden

## Start
home-title = Hallo, { $name }.
home-since = Angemeldet
home-logout = Mit dem Abmelden endet diese Sitzung endgültig: auf diesem Server, in jedem Tab und für jede Kopie ihres Cookies.
home-sessions = Wo Sie angemeldet sind

## Sitzungen
sessions-title = Ihre Sitzungen
sessions-hint = Alle Orte, an denen Sie angemeldet sind. Wenn Sie einen nicht kennen, beenden Sie die Sitzung und ändern Sie Ihr Passwort.
sessions-this = diese hier
sessions-remembered = bleibt angemeldet
sessions-seen = Zuletzt gesehen
sessions-began = Angemeldet
sessions-expires = Endet ungenutzt
sessions-ends = Endet
sessions-end = Beenden
sessions-end-others = Alle anderen beenden
sessions-end-all = Überall abmelden
sessions-ended-one = Diese Sitzung ist beendet.
sessions-ended-others = Alle anderen Sitzungen sind beendet.
client-on = { $browser } unter { $system }
client-somewhere = Etwas unter { $system }
client-unknown = Ein unbekanntes Programm

## Passwörter
nav-password = Passwort
password-title = Ihr Passwort ändern
password-hint = Alle Ihre anderen Sitzungen enden mit dem alten Passwort. Diese hier geht weiter.
password-current = Jetziges Passwort
password-new = Neues Passwort
password-do = Passwort ändern
password-wrong = Das ist nicht Ihr jetziges Passwort.
password-changed-title = Ihr Passwort ist geändert
password-changed = Alle Ihre anderen Sitzungen sind beendet.
password-sessions-left = Das Passwort ist geändert, aber Ihre Sitzungen konnten noch nicht beendet werden. Sie enden, sobald ihr Speicher antwortet; auch diese hier. Melden Sie sich mit dem neuen Passwort an.
again-title = Bestätigen Sie, dass Sie es sind
again-hint = Ihre Anmeldung ist eine Weile her. Geben Sie Ihr Passwort noch einmal ein, um weiterzumachen.
again-do = Weiter
again-not = Ohne das zurück

## Für Verwalter
admin-accounts = Konten
admin-sessions = Alle Sitzungen
admin-only = Diese Seite ist für Verwalter.
admin-own = Das ist Ihr eigenes Konto: Hier kann es weder gesperrt noch entfernt werden. Ihr Passwort hat seine eigene Seite.
admin-find = Nach Namen suchen
admin-find-do = Suchen
admin-find-all = Alle Konten
admin-find-none = Kein Konto hat das in seinem Namen.
admin-administrator = Verwalter
admin-disabled = gesperrt
admin-added = Angelegt
admin-add = Ein Konto anlegen
admin-add-do = Anlegen
admin-sessions-of = Sitzungen
admin-no-sessions = Es gibt keine Sitzung.
admin-end-sessions = Alle Sitzungen beenden
admin-email-hint = Wohin Nachrichten an den Inhaber gehen, etwa ein Link für ein neues Passwort. Lassen Sie das Feld leer, wenn es keine geben soll. Die alte Adresse erfährt von der Änderung.
admin-email-do = Adresse speichern
admin-role = Rolle
admin-role-hint = Ein Verwalter darf auf diesen Seiten alles. Mit einer anderen Rolle enden alle Sitzungen des Kontos.
admin-make-admin = Zum Verwalter machen
admin-make-user = Verwalterrolle entziehen
admin-give-up = Verwalterrolle abgeben
admin-last = Das ist der letzte Verwalter, der sich anmelden darf. Machen Sie erst jemand anderen dazu.
admin-left-title = Geschehen, aber noch nicht ganz
admin-left = Das Konto ist geändert. Seine Sitzungen konnten noch nicht beendet werden: Sie enden, sobald ihr Speicher antwortet.
admin-unknown = Ob die Änderung geschehen ist, ist nicht bekannt. Sehen Sie sich das Konto an, bevor Sie es noch einmal versuchen.
admin-password = Ein anderes Passwort setzen
admin-password-hint = Alle Sitzungen des Kontos enden. Teilen Sie das Passwort auf sicherem Weg mit und lassen Sie es ändern.
admin-password-do = Passwort setzen
admin-access = Zugang
admin-access-hint = Wer gesperrt oder entfernt wird, ist sofort überall abgemeldet. Ein Konto zu entfernen lässt sich nicht rückgängig machen.
admin-enable = Freigeben
admin-disable = Sperren
admin-remove = Endgültig entfernen
admin-sessions-hint = Die aller Leute, die ältesten zuerst.
page-before = Früher
page-after = Weiter

## Was geschehen ist
admin-events = Ereignisse
admin-events-hint = Was geschehen ist, das Neueste zuerst. Es steht nach ein, zwei Sekunden hier und ist nach einer Weile vergessen.
admin-events-of = Ereignisse von { $name }
admin-events-of-account = Was mit diesem Konto geschehen ist
admin-events-find = Die eines Kontos, nach seinem Namen
admin-events-account = Zum Konto
admin-events-all = Ereignisse aller Konten
admin-events-none = Es ist nichts bekannt, das geschehen wäre.
admin-events-none-of = Von einem solchen Konto ist nichts bekannt. Prüfen Sie den Namen; Altes ist vergessen.
admin-events-none-older = Älteres ist nicht bekannt.
page-newest = Neueste
page-newer = Neuere
page-older = Ältere
lately-title = Was zuletzt mit Ihrem Konto geschehen ist
lately-hint = Wenn Ihnen hier etwas fremd ist, melden Sie sich überall ab und ändern Sie Ihr Passwort.
lately-nothing = Noch nichts.
lately-unknown = Was zuletzt geschehen ist, lässt sich gerade nicht sagen. Die Sitzungen oben stimmen trotzdem, und Sie können sie beenden.
event-sessions =
    { $count ->
        [one] { $count } Sitzung
       *[other] { $count } Sitzungen
    }
event-login = Angemeldet
event-login-refused = Anmeldung abgelehnt
event-login-refused-password = Anmeldung abgelehnt: falsches Passwort
event-login-refused-nobody = Anmeldung abgelehnt: kein Konto dieses Namens
event-login-refused-disabled = Anmeldung abgelehnt: das Konto ist gesperrt
event-login-refused-changed = Anmeldung abgelehnt: das Konto wurde in diesem Moment geändert
event-login-refused-another = Bestätigung abgelehnt: es war die eines anderen Kontos
event-login-refused-current = Falsches Passwort, wo nach dem jetzigen gefragt war
event-logout = Abgemeldet
event-session-ended = Sitzung beendet
event-session-ended-expired = Sitzung beendet: ihre Zeit war um
event-session-ended-limit = Sitzung beendet: das Konto hatte zu viele
event-session-ended-login = Sitzung beendet: eine neue Anmeldung trat an ihre Stelle
event-session-ended-all = Sitzung beendet, zusammen mit anderen des Kontos
event-session-ended-changed = Sitzung beendet: das Konto wurde geändert
event-session-ended-disabled = Sitzung beendet: das Konto wurde gesperrt
event-session-ended-removed = Sitzung beendet: das Konto wurde entfernt
event-session-ended-password = Sitzung beendet: es gibt ein neues Passwort
event-session-renewed = Die Sitzung bekam ein neues Cookie, nachdem das Passwort noch einmal angegeben war
event-session-refused = Ein Cookie kam, zu dem es keine Sitzung gibt
event-dead-token = Ein Cookie wurde benutzt, nachdem seine Sitzung zu Ende war
event-dead-token-logout = Ein Cookie wurde nach dem Abmelden benutzt
event-cross-site = Eine Anfrage von einer anderen Website wurde abgelehnt
event-cross-site-form = Ein Formular, das nicht zur Sitzung gehörte, wurde abgelehnt
event-throttled = Zu viele Versuche: der nächste muss warten
event-throttled-account = Zu viele falsche Passwörter für dieses Konto: der nächste Versuch muss warten
event-throttled-account-stopped = Zu viele falsche Passwörter für dieses Konto: von unbekannten Programmen werden keine mehr angenommen
event-throttled-clients = Zu viele falsche Passwörter von früher benutzten Programmen: der nächste Versuch muss warten
event-throttled-clients-stopped = Zu viele falsche Passwörter von früher benutzten Programmen: es werden keine mehr angenommen
event-throttled-source = Zu viele falsche Passwörter von einer Adresse: der nächste Versuch muss warten
event-throttled-reset = Zu viele Anfragen nach Links für ein neues Passwort von einer Adresse
event-password-changed = Passwort geändert
event-password-set = Ein anderes Passwort gesetzt
event-password-reset = Passwort mit einem zugeschickten Link gesetzt
event-reset-requested = Nach einem Link für ein neues Passwort wurde gefragt
event-reset-requested-nobody = Nach einem Link für ein neues Passwort wurde gefragt, und niemand bekam einen
event-account-added = Konto angelegt
event-account-added-administrator = Konto eines Verwalters angelegt
event-account-enabled = Konto freigegeben
event-account-disabled = Konto gesperrt
event-account-changed = Konto geändert
event-account-administrator = Konto zu dem eines Verwalters gemacht
event-account-user = Konto ist nicht mehr das eines Verwalters
event-account-unlocked = Falsche Passwörter vergessen: Anmelden geht wieder
event-account-email = E-Mail-Adresse geändert
event-account-removed = Konto entfernt
event-setup-link = Ein Link zum Einrichten des ersten Verwalters wurde gemacht
event-lost =
    { $count ->
        [one] Hier fehlt { $count } Ereignis: es konnte nicht aufgehoben werden
       *[other] Hier fehlen { $count } Ereignisse: sie konnten nicht aufgehoben werden
    }
event-lost-flood =
    { $count ->
        [one] Hier ist { $count } Ablehnung eines Fremden ausgelassen: es waren zu viele
       *[other] Hier sind { $count } Ablehnungen von Fremden ausgelassen: es waren zu viele
    }
by-owner = vom Inhaber selbst
by-you = von Ihnen
by-administrator = von einem Verwalter
by-administrator-named = vom Verwalter { $name }
by-operator = vom Betreiber des Servers
by-system = vom Server selbst

## Zeiten
time-now = gerade eben
time-minutes-ago =
    { $count ->
        [one] vor { $count } Minute
       *[other] vor { $count } Minuten
    }
time-hours-ago =
    { $count ->
        [one] vor { $count } Stunde
       *[other] vor { $count } Stunden
    }
time-days-ago =
    { $count ->
        [one] vor { $count } Tag
       *[other] vor { $count } Tagen
    }
time-soon = in weniger als einer Minute
time-in-minutes =
    { $count ->
        [one] in { $count } Minute
       *[other] in { $count } Minuten
    }
time-in-hours =
    { $count ->
        [one] in { $count } Stunde
       *[other] in { $count } Stunden
    }
time-in-days =
    { $count ->
        [one] in { $count } Tag
       *[other] in { $count } Tagen
    }

## Erste Einrichtung
setup-short = Einrichten
setup-title = Den ersten Verwalter anlegen
setup-hint = Dieser Link gilt einmal. Das Konto, das hier entsteht, darf auf diesem Server alles.
setup-do = Konto anlegen und anmelden
setup-dead-title = Dieser Link gilt nicht
setup-dead = Ein Einrichtungs-Link gilt einmal, 15 Minuten lang, solange es kein Konto gibt. Auf dem Server macht „exeunt account setup-link“ einen neuen.

## Ein vergessenes Passwort
reset-forgotten = Passwort vergessen?
reset-ask-title = Passwort vergessen?
reset-ask-hint = Sie bekommen eine Nachricht mit einem Link, um ein neues zu setzen, falls Ihr Konto eine E-Mail-Adresse hat. Sonst fragen Sie, wer diesen Server betreibt.
reset-ask-who = Benutzername oder E-Mail-Adresse
reset-ask-do = Link schicken
reset-asked-title = Sehen Sie in Ihre Post
reset-asked = Falls es ein solches Konto mit einer E-Mail-Adresse gibt, ist eine Nachricht unterwegs. Ihr Link gilt einmal und für kurze Zeit.
reset-busy = Zu viele Anfragen warten auf Antwort, deshalb ist nichts geschehen. Gehen Sie zurück und versuchen Sie es in ein paar Sekunden noch einmal.
reset-title = Ein neues Passwort setzen
reset-hint = Für das Konto { $name }. Mit dem neuen Passwort wird das Konto überall abgemeldet.
reset-do = Passwort setzen
reset-dead-title = Dieser Link gilt nicht
reset-dead = Ein Link gilt einmal, für kurze Zeit und bis ein neuerer verschickt oder das Konto geändert wird.
reset-done-title = Ihr Passwort ist gesetzt
reset-done = Das Konto ist überall abgemeldet. Melden Sie sich mit dem neuen Passwort an.
reset-sessions-left = Ihr Passwort ist gesetzt, aber die Sitzungen des Kontos konnten noch nicht beendet werden. Sie enden, sobald ihr Speicher antwortet. Melden Sie sich mit dem neuen Passwort an.
reset-unknown = Ob Ihr Passwort gesetzt ist, ist nicht bekannt. Versuchen Sie, sich damit anzumelden; wird es abgelehnt, öffnen Sie den Link noch einmal.
to-reset = Einen neuen Link anfordern

## Nachrichten per E-Mail: einfacher Text, ohne Link außer dem zum Setzen eines neuen Passworts
mail-reset-subject = Ein neues Passwort setzen
mail-reset = Jemand hat für das Konto "{ $name }" ein neues Passwort angefordert.
mail-reset-do = Wenn Sie das waren, setzen Sie es hier innerhalb von { $lasts }:
mail-reset-once = Der Link gilt einmal. Mit dem neuen Passwort wird das Konto überall abgemeldet.
mail-reset-not-you = Wenn Sie das nicht waren, tun Sie nichts: Ihr Passwort bleibt, wie es ist.
mail-minutes =
    { $count ->
        [one] { $count } Minute
       *[other] { $count } Minuten
    }
mail-hours =
    { $count ->
        [one] { $count } Stunde
       *[other] { $count } Stunden
    }
mail-account = Konto: "{ $name }"
mail-time = Zeit:  { $time } (UTC)
mail-password-changed-subject = Ihr Passwort wurde geändert
mail-password-changed = Das Passwort des Kontos wurde geändert.
mail-password-reset-subject = Ihr Passwort wurde neu gesetzt
mail-password-reset = Das Passwort des Kontos wurde neu gesetzt, mit einem Link, der an diese Adresse ging.
mail-email-changed-subject = Ihre E-Mail-Adresse wurde geändert
mail-email-changed = Das Konto hat jetzt eine andere E-Mail-Adresse oder keine mehr. Seine Nachrichten gehen nicht mehr hierher.
mail-new-client-subject = Eine Anmeldung von einem neuen Gerät
mail-new-client =
    Jemand hat sich an dem Konto angemeldet, mit: { $client }.
    Das wurde dort noch nie benutzt.
mail-new-client-from =
    Jemand hat sich an dem Konto angemeldet, mit: { $client }, von der Adresse { $address }.
    Das wurde dort noch nie benutzt.
mail-client-unknown = ein unbekanntes Programm
mail-if-you = Wenn Sie das waren, ist nichts zu tun.
mail-if-not-you =
    Wenn Sie das nicht waren, hat jemand anderes Zugang: Setzen Sie sofort ein neues Passwort,
    beenden Sie alle Sitzungen, und sagen Sie dem, der diesen Dienst betreibt, Bescheid.

## Namen, Passwörter und Adressen, die nicht sein können
name-empty = Wählen Sie einen Namen.
name-long = Ein Name hat höchstens 64 Zeichen.
name-control = Ein Name hat keine Steuerzeichen.
name-space = Ein Name beginnt und endet nicht mit Leerraum.
name-taken = Ein Konto dieses Namens gibt es schon.
name-bad = Das kann kein Name sein.
email-space = Eine E-Mail-Adresse hat keinen Leerraum und keine Steuerzeichen.
email-at = Eine E-Mail-Adresse hat ein @.
email-domain = Was hinter dem @ steht, ist keine Domain.
email-long = Eine E-Mail-Adresse hat höchstens 254 Bytes.
email-bad = Eine E-Mail-Adresse ist wie name@example.org.
password-empty = Wählen Sie ein Passwort.
password-long = Ein Passwort hat höchstens 1024 Bytes.
password-short =
    { $count ->
        [one] Ein Passwort hat mindestens { $count } Zeichen.
       *[other] Ein Passwort hat mindestens { $count } Zeichen.
    }
password-common = Das ist ein häufiges Passwort oder aus häufigen gemacht. Wählen Sie ein anderes.
password-own-words = Das ist kaum mehr als Ihr Name oder der dieser Seite. Wählen Sie ein anderes.
password-repeats = Das wiederholt wenige Zeichen. Wählen Sie ein anderes.
password-sequence = Das geht das Alphabet oder die Tastatur entlang. Wählen Sie ein anderes.
password-date = Das ist kaum mehr als ein Datum. Wählen Sie ein anderes.
password-breached = Das ist aus einem Einbruch bei einer anderen Website bekannt. Wählen Sie ein anderes.
password-busy = Es ist nichts geschehen: Gerade werden zu viele Passwörter geprüft. Geben Sie es in ein paar Sekunden noch einmal ein.
password-bad = Das kann kein Passwort sein. Wählen Sie ein anderes.
passwords-differ = Die beiden Passwörter sind nicht gleich. Geben Sie beide noch einmal ein.

## Was schiefging
to-home = Zur Startseite
to-login = Zur Anmeldung
error-title = Etwas ist schiefgegangen
error-text = Der Server hat einen Fehler gemacht und ihn sich notiert. Versuchen Sie es noch einmal.
error-not-done = Es ist nichts geschehen. Gehen Sie zurück und versuchen Sie es noch einmal.
error-400 = Die Anfrage ist nicht zu verstehen
error-401 = Sie sind nicht angemeldet
error-401-text = Es ist nichts geschehen: Ihre Sitzung ist zu Ende. Melden Sie sich an und versuchen Sie es noch einmal.
error-403 = Nicht erlaubt
error-403-text = Diese Anfrage kam von einer anderen Website oder von der Seite einer früheren Sitzung, deshalb ist nichts geschehen. Gehen Sie zurück, laden Sie die Seite neu und versuchen Sie es noch einmal.
error-404 = Nicht gefunden
error-404-text = Unter dieser Adresse gibt es nichts.
error-405 = Das geht hier nicht
error-408 = Die Anfrage hat zu lange gedauert
error-409 = Jemand anderes war schneller
error-413 = Zu groß
error-415 = Unbekannte Form von Daten
error-422 = Etwas fehlt oder ist unverständlich
error-429 = Zu viele Versuche
error-429-text = Es ist nichts geschehen. Warten Sie eine Weile und versuchen Sie es dann noch einmal.
error-503 = Gerade nicht erreichbar
error-503-text = Der Server erreicht nicht, was er zum Antworten braucht. Es ist nichts bekannt, das verloren wäre: Versuchen Sie es gleich noch einmal.
