"""The fixed prompts that announcements are combined with, in the four target languages.

The official translations (the ``recorded`` part keeps them) lack Spanish accents, address the
caller now formally and now not, and know no German; these are uniform and formal.
"""

from __future__ import annotations


def _row(es: str, fr: str, it: str, de: str) -> dict[str, str]:
    return {"es": es, "fr": fr, "it": it, "de": de}


PROMPTS: dict[str, dict[str, str]] = {
    "vm-msgsaved": _row(
        "su mensaje se ha guardado",
        "votre message a été sauvegardé",
        "il suo messaggio è stato salvato",
        "Ihre Nachricht wurde gespeichert",
    ),
    "vm-delete": _row(
        "pulse siete para borrar este mensaje",
        "appuyez sur sept pour effacer ce message",
        "prema sette per cancellare questo messaggio",
        "drücken Sie die Sieben, um diese Nachricht zu löschen",
    ),
    "vm-repeat": _row(
        "pulse cinco para repetir el mensaje actual",
        "appuyez sur cinq pour répéter le message actuel",
        "prema cinque per ripetere il messaggio corrente",
        "drücken Sie die Fünf, um die aktuelle Nachricht zu wiederholen",
    ),
    "vm-next": _row(
        "pulse seis para escuchar el siguiente mensaje",
        "appuyez sur six pour écouter le message suivant",
        "prema sei per ascoltare il messaggio successivo",
        "drücken Sie die Sechs, um die nächste Nachricht zu hören",
    ),
    "vm-prev": _row(
        "pulse cuatro para el mensaje anterior",
        "appuyez sur quatre pour le message précédent",
        "prema quattro per il messaggio precedente",
        "drücken Sie die Vier für die vorherige Nachricht",
    ),
    "vm-toreply": _row(
        "pulse uno para enviar una respuesta",
        "appuyez sur un pour envoyer une réponse",
        "prema uno per inviare una risposta",
        "drücken Sie die Eins, um eine Antwort zu senden",
    ),
    "vm-advopts": _row(
        "pulse tres para las opciones avanzadas",
        "appuyez sur trois pour les options avancées",
        "prema tre per le opzioni avanzate",
        "drücken Sie die Drei für erweiterte Optionen",
    ),
    "vm-helpexit": _row(
        "pulse asterisco para obtener ayuda o almohadilla para salir",
        "appuyez sur étoile pour obtenir de l'aide ou sur dièse pour quitter",
        "prema asterisco per l'aiuto o cancelletto per uscire",
        "drücken Sie die Sterntaste für Hilfe oder die Rautetaste zum Beenden",
    ),
    "vm-leavemsg": _row(
        "pulse cinco para dejar un mensaje",
        "appuyez sur cinq pour laisser un message",
        "prema cinque per lasciare un messaggio",
        "drücken Sie die Fünf, um eine Nachricht zu hinterlassen",
    ),
    "vm-reachoper": _row(
        "pulse cero para hablar con un operador",
        "appuyez sur zéro pour joindre un opérateur",
        "prema zero per parlare con un operatore",
        "drücken Sie die Null, um einen Mitarbeiter zu erreichen",
    ),
    "vm-whichbox": _row(
        "para dejar un mensaje, introduzca un número de buzón",
        "pour laisser un message, veuillez entrer un numéro de boîte vocale",
        "per lasciare un messaggio, inserisca un numero di casella",
        "um eine Nachricht zu hinterlassen, geben Sie bitte eine Postfachnummer ein",
    ),
    "vm-nobodyavail": _row(
        "en este momento nadie está disponible para atender su llamada",
        "personne n'est disponible pour prendre votre appel en ce moment",
        "al momento nessuno è disponibile per rispondere alla sua chiamata",
        "im Moment ist niemand verfügbar, um Ihren Anruf entgegenzunehmen",
    ),
    "vm-goodbye": _row("adiós", "au revoir", "arrivederci", "auf Wiederhören"),
    "auth-thankyou": _row("gracias", "merci", "grazie", "danke"),
    "im-sorry": _row("lo siento", "je suis désolée", "mi dispiace", "es tut mir leid"),
    "queue-thankyou": _row(
        "gracias por su paciencia",
        "merci de votre patience",
        "grazie per la sua pazienza",
        "vielen Dank für Ihre Geduld",
    ),
    "one-moment-please": _row(
        "un momento, por favor",
        "un moment, s'il vous plaît",
        "un momento, per favore",
        "einen Moment, bitte",
    ),
    "please-try-call-later": _row(
        "por favor, vuelva a llamar más tarde",
        "veuillez rappeler plus tard",
        "la preghiamo di richiamare più tardi",
        "bitte rufen Sie später noch einmal an",
    ),
    "transfer": _row(
        "por favor, espere mientras pruebo esa extensión",
        "veuillez patienter pendant que j'essaie ce poste",
        "attenda in linea mentre provo quell'interno",
        "bitte warten Sie, während ich diese Nebenstelle anwähle",
    ),
    "pls-hold-while-try": _row(
        "por favor, espere mientras intentamos conectarle",
        "veuillez patienter pendant que nous essayons de vous mettre en communication",
        "attenda in linea mentre proviamo a metterla in comunicazione",
        "bitte warten Sie, während wir versuchen, Sie zu verbinden",
    ),
    "number-not-answering": _row(
        "el número no contesta",
        "le numéro ne répond pas",
        "il numero non risponde",
        "die Nummer antwortet nicht",
    ),
    "all-circuits-busy-now": _row(
        "todas las líneas están ocupadas en este momento",
        "toutes les lignes sont occupées en ce moment",
        "tutte le linee sono ora occupate",
        "alle Leitungen sind zurzeit belegt",
    ),
    "check-number-dial-again": _row(
        "por favor, compruebe el número y marque de nuevo",
        "veuillez vérifier le numéro et composer de nouveau",
        "controlli il numero e componga di nuovo",
        "bitte überprüfen Sie die Nummer und wählen Sie erneut",
    ),
    "conf-placeintoconf": _row(
        "ahora entrará en la conferencia",
        "vous allez maintenant entrer dans la conférence",
        "ora sarà inserito nella conferenza",
        "Sie werden jetzt in die Konferenz aufgenommen",
    ),
    "conf-lockednow": _row(
        "la conferencia está ahora bloqueada",
        "la conférence est maintenant verrouillée",
        "la conferenza è ora bloccata",
        "die Konferenz ist jetzt gesperrt",
    ),
    "conf-waitforleader": _row(
        "la conferencia comenzará cuando llegue el moderador",
        "la conférence commencera à l'arrivée du responsable",
        "la conferenza inizierà all'arrivo del moderatore",
        "die Konferenz beginnt, sobald der Leiter eintrifft",
    ),
    "conf-now-recording": _row(
        "la conferencia se está grabando ahora",
        "la conférence est maintenant enregistrée",
        "la conferenza viene ora registrata",
        "die Konferenz wird jetzt aufgezeichnet",
    ),
    "confbridge-conf-begin": _row(
        "la conferencia comenzará ahora",
        "la conférence va maintenant commencer",
        "la conferenza inizierà ora",
        "die Konferenz beginnt jetzt",
    ),
}
