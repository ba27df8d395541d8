<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="de-DE" sourcelanguage="en">
<context>
    <name>Panels.Choices</name>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>auto</source>
        <translation>automatisch</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>all</source>
        <translation>alle</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>in boxes</source>
        <translation>in Boxen</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>always</source>
        <translation>immer</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>never</source>
        <translation>nie</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>overwrite</source>
        <translation>überschreiben</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>keep others</source>
        <translation>andere behalten</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>allow overlap</source>
        <translation>Überlappung erlauben</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>binary</source>
        <translation>binär</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>semantic</source>
        <translation>semantisch</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>soft-tissue</source>
        <translation>Weichteile</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>lung</source>
        <translation>Lunge</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>bone</source>
        <translation>Knochen</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>brain</source>
        <translation>Gehirn</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>liver</source>
        <translation>Leber</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>mediastinum</source>
        <translation>Mediastinum</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>angio</source>
        <translation>Angio</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>stroke</source>
        <translation>Schlaganfall</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>spine</source>
        <translation>Wirbelsäule</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>agreement</source>
        <translation>Übereinstimmung</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>diversity</source>
        <translation>Vielfalt</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>mix</source>
        <translation>gemischt</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>random</source>
        <translation>zufällig</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>first</source>
        <translation>der Reihe nach</translation>
    </message>
</context>
<context>
    <name>Panels.ConnectionPanel</name>
    <message>
        <location filename="../../SEGSAMLib/Panels/ConnectionPanel.py"/>
        <source>Connecting …</source>
        <translation>Verbindung wird hergestellt …</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ConnectionPanel.py"/>
        <source>Cancelled.</source>
        <translation>Abgebrochen.</translation>
    </message>
</context>
<context>
    <name>Panels.DraftPanel</name>
    <message>
        <location filename="../../SEGSAMLib/Panels/DraftPanel.py"/>
        <source>Your unsaved work is back (segments: {count}).</source>
        <translation>Ihre ungesicherte Arbeit ist wieder da (Segmente: {count}).</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/DraftPanel.py"/>
        <source>There is unsaved work on this image, of {time} (segments: {count}).

Continue it? If not, it is deleted.</source>
        <translation>Zu diesem Bild gibt es ungesicherte Arbeit von {time} (Segmente: {count}).

Damit weitermachen? Wenn nicht, wird sie gelöscht.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/DraftPanel.py"/>
        <source>Your unsaved work on the server is deleted.</source>
        <translation>Ihre ungesicherte Arbeit auf dem Server ist gelöscht.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/DraftPanel.py"/>
        <source>Unsaved work: {reason}</source>
        <translation>Ungesicherte Arbeit: {reason}</translation>
    </message>
</context>
<context>
    <name>Panels.FindPanel</name>
    <message>
        <location filename="../../SEGSAMLib/Panels/FindPanel.py"/>
        <source>Looking for {name} …</source>
        <translation>{name} wird gesucht …</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/FindPanel.py"/>
        <source>Nothing was found.</source>
        <translation>Es wurde nichts gefunden.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/FindPanel.py"/>
        <source>Found: {name}.</source>
        <translation>Gefunden: {name}.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/FindPanel.py"/>
        <source>Found: {name} (certainty {percent} %).</source>
        <translation>Gefunden: {name} (Sicherheit {percent} %).</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/FindPanel.py"/>
        <source>Not found: {name}.</source>
        <translation>Nicht gefunden: {name}.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/FindPanel.py"/>
        <source>That it is there after all: {percent} %.</source>
        <translation>Dass es doch da ist: {percent} %.</translation>
    </message>
</context>
<context>
    <name>Panels.FirstRunPanel</name>
    <message>
        <location filename="../../SEGSAMLib/Panels/FirstRunPanel.py"/>
        <source>The section Server on this computer shows how far it is.</source>
        <translation>Der Abschnitt „Server auf diesem Computer“ zeigt, wie weit er ist.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/FirstRunPanel.py"/>
        <source>No server was started.</source>
        <translation>Es wurde kein Server gestartet.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/FirstRunPanel.py"/>
        <source>Type the address of the server, and its token if it requires one, and press Connect.</source>
        <translation>Geben Sie die Adresse des Servers ein, und sein Token, falls er eines verlangt, und drücken Sie „Verbinden“.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/FirstRunPanel.py"/>
        <source>Drag a box around the right kidney in the axial view (on the left of the picture).</source>
        <translation>Ziehen Sie in der axialen Ansicht eine Box um die rechte Niere (links im Bild).</translation>
    </message>
</context>
<context>
    <name>Panels.Pixmaps</name>
    <message>
        <location filename="../../SEGSAMLib/Panels/Pixmaps.py"/>
        <source>epoch {number}</source>
        <translation>Epoche {number}</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Pixmaps.py"/>
        <source>The curve of a training.</source>
        <translation>Der Verlauf eines Trainings.</translation>
    </message>
</context>
<context>
    <name>Panels.PromptTools</name>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>Sign: inside (T)</source>
        <translation>Vorzeichen: innen (T)</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>Sign: outside (T)</source>
        <translation>Vorzeichen: außen (T)</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>Click inside the object. T: outside.</source>
        <translation>Klicken Sie in das Objekt. T: außen.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>Click what is outside the object. T: inside.</source>
        <translation>Klicken Sie auf etwas außerhalb des Objekts. T: innen.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>Drag a box around the object. T: outside.</source>
        <translation>Ziehen Sie eine Box um das Objekt. T: außen.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>Drag a box around what is outside the object. T: inside.</source>
        <translation>Ziehen Sie eine Box um das, was nicht zum Objekt gehört. T: innen.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>Drag a 3D box around the object. T: outside.</source>
        <translation>Ziehen Sie eine 3D-Box um das Objekt. T: außen.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>Drag a 3D box around what is outside the object. T: inside.</source>
        <translation>Ziehen Sie eine 3D-Box um das, was nicht zum Objekt gehört. T: innen.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>Draw a stroke inside the object. T: outside.</source>
        <translation>Zeichnen Sie einen Strich im Objekt. T: außen.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>Draw a stroke outside the object. T: inside.</source>
        <translation>Zeichnen Sie einen Strich außerhalb des Objekts. T: innen.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>Draw around the object. T: outside.</source>
        <translation>Umfahren Sie das Objekt. T: außen.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>Draw around what is outside the object. T: inside.</source>
        <translation>Umfahren Sie, was nicht zum Objekt gehört. T: innen.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>The next prompts mark what is inside the object (T).</source>
        <translation>Die nächsten Markierungen bezeichnen, was im Objekt liegt (T).</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>The next prompts mark what is outside the object (T).</source>
        <translation>Die nächsten Markierungen bezeichnen, was außerhalb des Objekts liegt (T).</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>point inside</source>
        <translation>Punkt innen</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>point outside</source>
        <translation>Punkt außen</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>box</source>
        <translation>Box</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>box outside</source>
        <translation>Box außen</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>scribble inside</source>
        <translation>Strich innen</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>scribble outside</source>
        <translation>Strich außen</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>lasso</source>
        <translation>Lasso</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>lasso outside</source>
        <translation>Lasso außen</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>{first} to {last}</source>
        <translation>{first} bis {last}</translation>
    </message>
</context>
<context>
    <name>Panels.PromptsPanel</name>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>Undo {step} ({key})</source>
        <translation>Rückgängig: {step} ({key})</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>Nothing to undo ({key})</source>
        <translation>Nichts rückgängig zu machen ({key})</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>Redo {step} ({key})</source>
        <translation>Wiederholen: {step} ({key})</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>Nothing to redo ({key})</source>
        <translation>Nichts zu wiederholen ({key})</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>Completing …</source>
        <translation>Wird ergänzt …</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>Segmenting …</source>
        <translation>Wird segmentiert …</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>Drag from one corner of the box to the opposite one.</source>
        <translation>Ziehen Sie von einer Ecke der Box zur gegenüberliegenden.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>1 point inside</source>
        <translation>1 Punkt innen</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>{count} points inside</source>
        <translation>{count} Punkte innen</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>1 point outside</source>
        <translation>1 Punkt außen</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>{count} points outside</source>
        <translation>{count} Punkte außen</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>1 box</source>
        <translation>1 Box</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>{count} boxes</source>
        <translation>{count} Boxen</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>1 box outside</source>
        <translation>1 Box außen</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>{count} boxes outside</source>
        <translation>{count} Boxen außen</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>1 scribble</source>
        <translation>1 Strich</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>{count} scribbles</source>
        <translation>{count} Striche</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>1 scribble outside</source>
        <translation>1 Strich außen</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>{count} scribbles outside</source>
        <translation>{count} Striche außen</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>1 lasso</source>
        <translation>1 Lasso</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>{count} lassos</source>
        <translation>{count} Lassos</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>1 lasso outside</source>
        <translation>1 Lasso außen</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>{count} lassos outside</source>
        <translation>{count} Lassos außen</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>No prompt yet: choose a tool and mark the object in a slice view.</source>
        <translation>Noch keine Markierung: Wählen Sie ein Werkzeug, und markieren Sie das Objekt in einer Schichtansicht.</translation>
    </message>
</context>
<context>
    <name>Panels.ResultPanel</name>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>No slice has a certainty yet: segment something first.</source>
        <translation>Noch keine Schicht hat eine Sicherheit: Segmentieren Sie zuerst etwas.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>Choose a segment first.</source>
        <translation>Wählen Sie zuerst ein Segment.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>No view shows a slice of this segment.</source>
        <translation>Keine Ansicht zeigt eine Schicht dieses Segments.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>Slice {index} is confirmed: no result changes it. C takes it back.</source>
        <translation>Schicht {index} ist bestätigt: kein Ergebnis ändert sie. C nimmt das zurück.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>Slice {index} is no longer confirmed.</source>
        <translation>Schicht {index} ist nicht mehr bestätigt.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>Name this segment {category}: name, colour and code follow.</source>
        <translation>Dieses Segment {category} nennen: Name, Farbe und Code richten sich danach.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>As named in {case}.</source>
        <translation>Wie in {case} benannt.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>unknown</source>
        <translation>unbekannt</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>No segment chosen</source>
        <translation>Kein Segment gewählt</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>{name} (the model's name)</source>
        <translation>{name} (Name vom Modell)</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>{name} (as named in {case})</source>
        <translation>{name} (wie in {case} benannt)</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>{name} (your choice)</source>
        <translation>{name} (Ihre Wahl)</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>the model's category</source>
        <translation>Kategorie des Modells</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>Slice {index} would help most</source>
        <translation>Schicht {index} würde am meisten helfen</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>{plane} slice {index}: {percent} % certain</source>
        <translation>Schicht {index}, {plane}: {percent} % sicher</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>{plane} slice {index}: no result here</source>
        <translation>Schicht {index}, {plane}: hier kein Ergebnis</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>{plane} slice {index}: confirmed</source>
        <translation>Schicht {index}, {plane}: bestätigt</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>No other category on this slice.</source>
        <translation>Keine weitere Kategorie auf dieser Schicht.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>Probability of {category} on this slice.</source>
        <translation>Wahrscheinlichkeit von {category} auf dieser Schicht.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>Make {category} a segment</source>
        <translation>{category} zu einem Segment machen</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>Segmenting {category} on this slice …</source>
        <translation>{category} wird auf dieser Schicht segmentiert …</translation>
    </message>
</context>
<context>
    <name>Panels.ServerPanel</name>
    <message>
        <location filename="../../SEGSAMLib/Panels/ServerPanel.py"/>
        <source>No SEG-SAM server is installed on this computer yet.

It gets a Python environment of its own in
{folder}
Slicer's Python is not touched. Up to {size} GB are downloaded with pip; that takes some minutes, and you can go on working. To remove it, delete the folder.

Install it now?</source>
        <translation>Auf diesem Computer ist noch kein SEG-SAM-Server installiert.

Er bekommt eine eigene Python-Umgebung in
{folder}
Slicers Python bleibt unberührt. Bis zu {size} GB werden mit pip heruntergeladen; das dauert einige Minuten, in denen Sie weiterarbeiten können. Zum Entfernen löschen Sie den Ordner.

Jetzt installieren?</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ServerPanel.py"/>
        <source>Installing …</source>
        <translation>Wird installiert …</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ServerPanel.py"/>
        <source>Starting …</source>
        <translation>Wird gestartet …</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ServerPanel.py"/>
        <source>Stopping …</source>
        <translation>Wird beendet …</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ServerPanel.py"/>
        <source>Start</source>
        <translation>Starten</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ServerPanel.py"/>
        <source>Install…</source>
        <translation>Installieren …</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ServerPanel.py"/>
        <source>Running on {address}.</source>
        <translation>Läuft auf {address}.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ServerPanel.py"/>
        <source>The folder {folder} cannot be created: {error}.</source>
        <translation>Der Ordner {folder} kann nicht angelegt werden: {error}.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ServerPanel.py"/>
        <source>Stopped.</source>
        <translation>Beendet.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ServerPanel.py"/>
        <source>Installed.</source>
        <translation>Installiert.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ServerPanel.py"/>
        <source>The server ended (status {status}).</source>
        <translation>Der Server hat sich beendet (Status {status}).</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ServerPanel.py"/>
        <source>The installation ended (status {status}).</source>
        <translation>Die Installation hat sich beendet (Status {status}).</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ServerPanel.py"/>
        <source>See the log below.</source>
        <translation>Siehe das Protokoll unten.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ServerPanel.py"/>
        <source>See the log in the section Server on this computer.</source>
        <translation>Siehe das Protokoll im Abschnitt „Server auf diesem Computer“.</translation>
    </message>
</context>
<context>
    <name>Panels.WorkflowPanel</name>
    <message>
        <location filename="../../SEGSAMLib/Panels/WorkflowPanel.py"/>
        <source>Loading the next image …</source>
        <translation>Das nächste Bild wird geladen …</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/WorkflowPanel.py"/>
        <source>Every image on the server has a label.</source>
        <translation>Jedes Bild auf dem Server hat ein Label.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/WorkflowPanel.py"/>
        <source>Submitting …</source>
        <translation>Wird eingereicht …</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/WorkflowPanel.py"/>
        <source>Saved as version {version} of {image}.</source>
        <translation>Gespeichert als Version {version} von {image}.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/WorkflowPanel.py"/>
        <source>The other label is in the scene, beside yours.</source>
        <translation>Das andere Label ist in der Szene, neben Ihrem.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/WorkflowPanel.py"/>
        <source>Starting …</source>
        <translation>Wird gestartet …</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/WorkflowPanel.py"/>
        <source>{state} (epoch {epoch} of {epochs}).</source>
        <translation>{state} (Epoche {epoch} von {epochs}).</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/WorkflowPanel.py"/>
        <source>in use</source>
        <translation>in Gebrauch</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/WorkflowPanel.py"/>
        <source>{image} was left out: {reason}</source>
        <translation>{image} wurde ausgelassen: {reason}</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/WorkflowPanel.py"/>
        <source>{count} more were left out.</source>
        <translation>{count} weitere wurden ausgelassen.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/WorkflowPanel.py"/>
        <source>idle</source>
        <translation>untätig</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/WorkflowPanel.py"/>
        <source>waiting</source>
        <translation>wartet</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/WorkflowPanel.py"/>
        <source>running</source>
        <translation>läuft</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/WorkflowPanel.py"/>
        <source>done</source>
        <translation>fertig</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/WorkflowPanel.py"/>
        <source>failed</source>
        <translation>fehlgeschlagen</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/WorkflowPanel.py"/>
        <source>stopped</source>
        <translation>angehalten</translation>
    </message>
</context>
<context>
    <name>SEGSAM</name>
    <message>
        <location filename="../../SEGSAM.py"/>
        <source>SEG-SAM</source>
        <translation>SEG-SAM</translation>
    </message>
    <message>
        <location filename="../../SEGSAM.py"/>
        <source>Click, or draw a box or lasso, in a slice view: the structure is segmented, named and coded by a SEG-SAM server on this computer or elsewhere, which learns from what you submit. &lt;a href="https://github.com/SEG-SAM/SlicerSEGSAM/blob/main/docs/tutorial.md"&gt;Tutorial&lt;/a&gt;.</source>
        <translation>Klicken Sie in eine Schichtansicht, oder zeichnen Sie eine Box oder ein Lasso: Die Struktur wird segmentiert, benannt und kodiert. Das tut ein SEG-SAM-Server auf diesem Computer oder anderswo, der aus dem lernt, was Sie einreichen. &lt;a href="https://github.com/SEG-SAM/SlicerSEGSAM/blob/main/docs/tutorial.md"&gt;Anleitung&lt;/a&gt;.</translation>
    </message>
    <message>
        <location filename="../../SEGSAM.py"/>
        <source>Rebuilds SEG-SAM: Semantic-Guided SAM for Unified Medical Image Segmentation. For research; not a medical device.</source>
        <translation>Nachbau von SEG-SAM: Semantic-Guided SAM for Unified Medical Image Segmentation. Für die Forschung; kein Medizinprodukt.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Not connected.</source>
        <translation>Nicht verbunden.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Current task, or the result of the last one.</source>
        <translation>Laufende Aufgabe oder Ergebnis der letzten.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Cancel</source>
        <translation>Abbrechen</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Stop waiting for the server (Esc). Nothing in the scene changes.</source>
        <translation>Nicht länger auf den Server warten (Esc). In der Szene ändert sich nichts.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Progress of the request that is running.</source>
        <translation>Fortschritt der laufenden Anfrage.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>A SEG-SAM server does the computing. Begin with:</source>
        <translation>Ein SEG-SAM-Server rechnet. Beginnen Sie mit:</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Shown until you have connected to a server for the first time.</source>
        <translation>Wird gezeigt, bis Sie sich zum ersten Mal mit einem Server verbunden haben.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Try with the sample CT</source>
        <translation>Mit dem Beispiel-CT ausprobieren</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Download the sample CT (1 MB) by Slicer's Sample Data, and start a server on this computer. Asks before it installs one.</source>
        <translation>Das Beispiel-CT (1 MB) mit Slicers „Sample Data“ herunterladen und einen Server auf diesem Computer starten. Fragt, bevor einer installiert wird.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Server on this computer</source>
        <translation>Server auf diesem Computer</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Start a server on this computer and connect to it. Asks before it installs one.</source>
        <translation>Einen Server auf diesem Computer starten und sich mit ihm verbinden. Fragt, bevor einer installiert wird.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Server elsewhere</source>
        <translation>Server anderswo</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Type the address of a server that somebody else runs.</source>
        <translation>Die Adresse eines Servers eingeben, den jemand anderes betreibt.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Server</source>
        <translation>Server</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Server that segments the images.</source>
        <translation>Server, der die Bilder segmentiert.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Address of the server. Without http:// and port these are added: http and 8000 on this computer, https elsewhere.</source>
        <translation>Adresse des Servers. Ohne http:// und Port wird ergänzt: http und 8000 auf diesem Computer, https anderswo.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Connect</source>
        <translation>Verbinden</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Test the address, the token and the certificate, and load what the server offers.</source>
        <translation>Adresse, Token und Zertifikat prüfen, und laden, was der Server anbietet.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Start a server below, or type the address of one and connect.</source>
        <translation>Starten Sie unten einen Server, oder geben Sie die Adresse eines Servers ein und verbinden Sie sich.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Result of the connection test.</source>
        <translation>Ergebnis der Verbindungsprüfung.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Model</source>
        <translation>Modell</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>The server's models for prompts.</source>
        <translation>Die Modelle des Servers für Markierungen.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Version</source>
        <translation>Version</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Version of the model in use. Changing it changes it for all users of this server.</source>
        <translation>Version des Modells in Gebrauch. Eine Änderung gilt für alle Benutzer dieses Servers.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Token</source>
        <translation>Token</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>only if the server requires one</source>
        <translation>nur, wenn eines verlangt wird</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>The server's token. It is sent with every request, and to this server only.</source>
        <translation>Das Token des Servers. Es wird mit jeder Anfrage gesendet, und nur an diesen Server.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>keep</source>
        <translation>merken</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Store the token in your settings on this computer. Otherwise it is lost when Slicer ends.</source>
        <translation>Das Token in Ihren Einstellungen auf diesem Computer speichern. Sonst ist es mit dem Ende von Slicer vergessen.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Certificate</source>
        <translation>Zertifikat</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Certificate file (PEM) of your hospital's certification authority, trusted in addition to those of the system. Certificates are always checked.</source>
        <translation>Zertifikatsdatei (PEM) der Zertifizierungsstelle Ihres Krankenhauses, der zusätzlich zu denen des Systems vertraut wird. Zertifikate werden immer geprüft.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Segment</source>
        <translation>Segment</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Choose a segment, and mark its object in the slice views.</source>
        <translation>Ein Segment wählen und sein Objekt in den Schichtansichten markieren.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Image</source>
        <translation>Bild</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>The image to segment. It is sent to the server once, when it is first needed.</source>
        <translation>Das Bild, das segmentiert wird. Es wird einmal an den Server gesendet, sobald es gebraucht wird.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Segmentation</source>
        <translation>Segmentierung</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Segmentation that gets the segments. You can continue an existing one.</source>
        <translation>Segmentierung, die die Segmente bekommt. Sie können eine vorhandene fortsetzen.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>+</source>
        <translation>+</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Add a segment (N)</source>
        <translation>Ein Segment hinzufügen (N)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>-</source>
        <translation>-</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Remove the chosen segment and its prompts</source>
        <translation>Das gewählte Segment mit seinen Markierungen entfernen</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Next</source>
        <translation>Nächstes</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Choose the next segment (E)</source>
        <translation>Das nächste Segment wählen (E)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Show</source>
        <translation>Zeigen</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Show or hide the chosen segment (G)</source>
        <translation>Das gewählte Segment zeigen oder verbergen (G)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Show the segments in the 3D views</source>
        <translation>Die Segmente in den 3D-Ansichten zeigen</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>The selected segment gets the prompts and the result. Each segment has its own prompts.</source>
        <translation>Das gewählte Segment bekommt die Markierungen und das Ergebnis. Jedes Segment hat eigene Markierungen.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Inside (A)</source>
        <translation>Innen (A)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Points inside the object (A): click in a slice view</source>
        <translation>Punkte im Objekt (A): in eine Schichtansicht klicken</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Outside (S)</source>
        <translation>Außen (S)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Points outside the object (S): click where the segment is too large</source>
        <translation>Punkte außerhalb des Objekts (S): dorthin klicken, wo das Segment zu groß ist</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Scribble (D)</source>
        <translation>Strich (D)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Scribble (D): draw a stroke with the button held down, inside the object or outside it (T)</source>
        <translation>Strich (D): mit gedrückter Maustaste einen Strich zeichnen, im Objekt oder außerhalb (T)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Box (B)</source>
        <translation>Box (B)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Box on a slice (B): drag from corner to corner in any slice view, around the object or what is outside (T)</source>
        <translation>Box auf einer Schicht (B): in einer Schichtansicht von Ecke zu Ecke ziehen, um das Objekt oder um das, was nicht dazugehört (T)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>3D box (V)</source>
        <translation>3D-Box (V)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>3D box (V): drag from corner to corner; then adjust it in the views. The object is followed inside; with the sign outside (T), it is kept out of the box</source>
        <translation>3D-Box (V): von Ecke zu Ecke ziehen, dann in den Ansichten anpassen. Das Objekt wird darin verfolgt; mit dem Vorzeichen außen (T) wird es aus der Box herausgehalten</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Lasso (L)</source>
        <translation>Lasso (L)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Lasso (L): draw an outline around the object with the button held down, or around what is outside (T)</source>
        <translation>Lasso (L): mit gedrückter Maustaste das Objekt umfahren, oder das, was nicht dazugehört (T)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Sign: inside (T)</source>
        <translation>Vorzeichen: innen (T)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Sign of the next prompts: inside the object, or outside it (T). A new segment starts with inside.</source>
        <translation>Vorzeichen der nächsten Markierungen: im Objekt oder außerhalb (T). Ein neues Segment beginnt mit innen.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Undo</source>
        <translation>Rückgängig</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Undo the last prompt or result (Ctrl+Z)</source>
        <translation>Die letzte Markierung oder das letzte Ergebnis rückgängig machen (Ctrl+Z)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Redo</source>
        <translation>Wiederholen</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Redo (Ctrl+Y)</source>
        <translation>Wiederholen (Ctrl+Y)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Clear</source>
        <translation>Leeren</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Remove all prompts of the chosen segment; its voxels stay</source>
        <translation>Alle Markierungen des gewählten Segments löschen; seine Voxel bleiben</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Reset</source>
        <translation>Zurücksetzen</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Reset the segment: remove its prompts and its voxels (Shift+Backspace)</source>
        <translation>Das Segment zurücksetzen: seine Markierungen und Voxel löschen (Shift+Backspace)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>No prompt yet.</source>
        <translation>Noch keine Markierung.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>The prompts of the chosen segment.</source>
        <translation>Die Markierungen des gewählten Segments.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Remove prompt</source>
        <translation>Markierung löschen</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Remove the chosen prompt of the list, or the last one (Backspace)</source>
        <translation>Die in der Liste gewählte Markierung löschen, oder die letzte (Backspace)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>show</source>
        <translation>zeigen</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Show the prompts in the views (H). Hidden prompts are still sent.</source>
        <translation>Die Markierungen in den Ansichten zeigen (H). Auch verborgene werden gesendet.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>The prompts of the chosen segment, the last one at the end. Backspace removes the chosen one, and the result is computed again.</source>
        <translation>Die Markierungen des gewählten Segments, die letzte am Ende. Backspace löscht die gewählte, und das Ergebnis wird neu berechnet.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Run (R)</source>
        <translation>Ausführen (R)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Segment with the prompts of the chosen segment (R)</source>
        <translation>Mit den Markierungen des gewählten Segments segmentieren (R)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Follow (F)</source>
        <translation>Folgen (F)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Follow the object through all slices (always), or segment the slice of the prompts only, and what 3D boxes span (F)</source>
        <translation>Das Objekt durch alle Schichten verfolgen (immer), oder nur die Schicht der Markierungen segmentieren, und was 3D-Boxen umfassen (F)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>live</source>
        <translation>live</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Run after each new, moved or deleted prompt. Otherwise only the button runs.</source>
        <translation>Nach jeder neuen, verschobenen oder gelöschten Markierung ausführen. Sonst tut das nur die Taste.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Confirm slice (C)</source>
        <translation>Schicht bestätigen (C)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Confirm the slice in view: the segment is right there, or empty (C). No result changes it; C again takes it back.</source>
        <translation>Die gezeigte Schicht bestätigen: das Segment ist dort richtig, oder nicht vorhanden (C). Kein Ergebnis ändert sie; noch einmal C nimmt das zurück.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Complete (Shift+C)</source>
        <translation>Ergänzen (Shift+C)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Segment the rest from the confirmed slices, and from those that you drew or corrected by hand (Shift+C)</source>
        <translation>Den Rest aus den bestätigten Schichten segmentieren, und aus denen, die Sie von Hand gezeichnet oder korrigiert haben (Shift+C)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Name of an object, such as spleen</source>
        <translation>Name eines Objekts, etwa spleen</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Find an object by its name, without a prompt: a category, another name of it, or a name that was taught on the server. Enter starts the search.</source>
        <translation>Ein Objekt am Namen finden, ohne Markierung: eine Kategorie, ein anderer Name dafür oder ein Name, der dem Server beigebracht wurde. Enter beginnt die Suche.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Find</source>
        <translation>Finden</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Look for the object in the whole volume. It becomes a segment of its name; what is not found is said here.</source>
        <translation>Das Objekt im ganzen Volumen suchen. Es wird ein Segment seines Namens; was nicht gefunden wird, steht hier.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Follow through slices</source>
        <translation>Durch Schichten folgen</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>When the object is followed through slices: inside 3D boxes, always, or never.</source>
        <translation>Wann das Objekt durch Schichten verfolgt wird: in 3D-Boxen, immer oder nie.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Across axis</source>
        <translation>Quer zur Achse</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Voxel axis across which the volume is sliced for the model; auto takes the view of the prompt, or else the planes in which the image was acquired.</source>
        <translation>Voxelachse, quer zu der das Volumen für das Modell in Schichten geteilt wird; automatisch ist es die Ansicht der Markierung, sonst die Ebene, in der das Bild aufgenommen wurde.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Only slices</source>
        <translation>Nur Schichten</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Keep the result on these slices only.</source>
        <translation>Das Ergebnis nur auf diesen Schichten behalten.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>First slice to keep.</source>
        <translation>Erste Schicht, die behalten wird.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>to</source>
        <translation>bis</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Last slice to keep.</source>
        <translation>Letzte Schicht, die behalten wird.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Other segments</source>
        <translation>Andere Segmente</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Where another segment already is: take its voxels (overwrite), leave them to it (keep others), or have both (allow overlap).</source>
        <translation>Wo schon ein anderes Segment ist: seine Voxel nehmen (überschreiben), sie ihm lassen (andere behalten), oder beide haben (Überlappung erlauben).</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Result</source>
        <translation>Ergebnis</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Category of the object, certainty, and other categories on the slice.</source>
        <translation>Kategorie des Objekts, Sicherheit und weitere Kategorien auf der Schicht.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>The segment's colour.</source>
        <translation>Farbe des Segments.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>No result yet</source>
        <translation>Noch kein Ergebnis</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Category from the model, or your own choice.</source>
        <translation>Kategorie vom Modell oder Ihre eigene Wahl.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Your choice</source>
        <translation>Ihre Wahl</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Your own choice of category for this segment: name, colour and code follow, and the model does not change it again.</source>
        <translation>Ihre eigene Wahl der Kategorie für dieses Segment: Name, Farbe und Code richten sich danach, und das Modell ändert sie nicht mehr.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Confidence</source>
        <translation>Konfidenz</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Probability that the category is right, calibrated on validation data.</source>
        <translation>Wahrscheinlichkeit, dass die Kategorie stimmt, kalibriert an Validierungsdaten.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Agreement</source>
        <translation>Übereinstimmung</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Agreement of both decoders on the mask (IoU). Check results with a low value first.</source>
        <translation>Übereinstimmung beider Decoder über die Maske (IoU). Prüfen Sie Ergebnisse mit niedrigem Wert zuerst.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Notes of the server about this result.</source>
        <translation>Hinweise des Servers zu diesem Ergebnis.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Nearest names (click to choose one)</source>
        <translation>Nächstliegende Namen (zum Wählen klicken)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Also present in this slice</source>
        <translation>Auch auf dieser Schicht</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Certainty, slice by slice</source>
        <translation>Sicherheit, Schicht für Schicht</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Agreement of the decoders per slice: green where they agree, red where they do not, grey where there is no result, blue where you confirmed.</source>
        <translation>Übereinstimmung der Decoder je Schicht: grün, wo sie übereinstimmen, rot, wo nicht, grau, wo es kein Ergebnis gibt, blau, wo Sie bestätigt haben.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Go to a slice.</source>
        <translation>Zu einer Schicht gehen.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Worst</source>
        <translation>Unsicherste</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Go to the slice where the decoders agree least (W)</source>
        <translation>Zur Schicht gehen, auf der die Decoder am wenigsten übereinstimmen (W)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Slice in view, and its certainty.</source>
        <translation>Gezeigte Schicht und ihre Sicherheit.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Go to the slice on which the most is in doubt (W). Correct and confirm it, then complete again.</source>
        <translation>Zur Schicht gehen, auf der am meisten unsicher ist (W). Korrigieren und bestätigen Sie sie, dann ergänzen Sie erneut.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Update 3D</source>
        <translation>3D erneuern</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Compute the surfaces of the changed segments. This Slicer (before 5.10) stands still meanwhile, for seconds with a large organ; newer ones update them by themselves.</source>
        <translation>Die Oberflächen der geänderten Segmente berechnen. Dieses Slicer (vor 5.10) steht dabei still, bei einem großen Organ sekundenlang; neuere erneuern sie von selbst.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Segment Editor</source>
        <translation>Segment Editor</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Correct by hand with Slicer's own effects.</source>
        <translation>Von Hand korrigieren, mit Slicers eigenen Effekten.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Label and learn</source>
        <translation>Labeln und lernen</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Choose images, submit labels, train, and decide about the new version.</source>
        <translation>Bilder wählen, Labels einreichen, trainieren und über die neue Version entscheiden.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>How the next image is chosen: where the decoders agree least, what is unlike the labelled ones, a mix of both, at random, or in order.</source>
        <translation>Wie das nächste Bild gewählt wird: wo die Decoder am wenigsten übereinstimmen, was den gelabelten unähnlich ist, gemischt, zufällig oder der Reihe nach.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Next image</source>
        <translation>Nächstes Bild</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Load the image that the model can learn most from, and show why it was chosen. The current segmentation is not saved.</source>
        <translation>Das Bild laden, aus dem das Modell am meisten lernen kann, und zeigen, warum es gewählt wurde. Die aktuelle Segmentierung wird nicht gespeichert.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Why this image was chosen.</source>
        <translation>Warum dieses Bild gewählt wurde.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Submit label</source>
        <translation>Label einreichen</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Save the segmentation on the server as a new version of this image's label. Earlier ones are kept.</source>
        <translation>Die Segmentierung auf dem Server als neue Version des Labels dieses Bildes speichern. Frühere bleiben erhalten.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Result of the last submission.</source>
        <translation>Ergebnis der letzten Einreichung.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Label that another user saved since you started. The server keeps both labels.</source>
        <translation>Label, das jemand anderes gespeichert hat, seit Sie begonnen haben. Der Server behält beide.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Show theirs</source>
        <translation>Das andere zeigen</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Load the other label beside yours, as a segmentation of its own.</source>
        <translation>Das andere Label neben Ihrem laden, als eigene Segmentierung.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Make mine current</source>
        <translation>Meines verwenden</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Your label becomes the current one; theirs stays as an earlier version.</source>
        <translation>Ihr Label wird das aktuelle; das andere bleibt als frühere Version.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Epochs</source>
        <translation>Epochen</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Passes over the labelled images.</source>
        <translation>Durchgänge durch die gelabelten Bilder.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Train</source>
        <translation>Trainieren</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Train the model on all submitted labels, on the server. You can go on segmenting.</source>
        <translation>Das Modell auf dem Server mit allen eingereichten Labels trainieren. Sie können weiter segmentieren.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Stop</source>
        <translation>Anhalten</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Stop the training; the version in use does not change.</source>
        <translation>Das Training anhalten; die Version in Gebrauch ändert sich nicht.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Loss and Dice of the running training, epoch by epoch.</source>
        <translation>Verlust und Dice des laufenden Trainings, Epoche für Epoche.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>No training yet.</source>
        <translation>Noch kein Training.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>State of the training.</source>
        <translation>Stand des Trainings.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Versions of the model: how many cases they learnt from, and the Dice on held-out cases before and after.</source>
        <translation>Versionen des Modells: aus wie vielen Fällen sie gelernt haben, und der Dice auf zurückgehaltenen Fällen vorher und nachher.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Cases</source>
        <translation>Fälle</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Before</source>
        <translation>Vorher</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>After</source>
        <translation>Nachher</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Why the chosen version was promoted or not.</source>
        <translation>Warum die gewählte Version übernommen wurde oder nicht.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Use this version</source>
        <translation>Diese Version verwenden</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Use the chosen version from now on: accept a new one, or go back to an old one. No version is deleted.</source>
        <translation>Ab jetzt die gewählte Version verwenden: eine neue annehmen oder zu einer alten zurückkehren. Keine Version wird gelöscht.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Not needed if you use a server on another computer.</source>
        <translation>Nicht nötig, wenn Sie einen Server auf einem anderen Computer verwenden.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Not running.</source>
        <translation>Läuft nicht.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>State of the server that this module started.</source>
        <translation>Stand des Servers, den dieses Modul gestartet hat.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Start</source>
        <translation>Starten</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Start a SEG-SAM server on this computer (127.0.0.1) and connect to it. Offers to install it first when it is missing.</source>
        <translation>Einen SEG-SAM-Server auf diesem Computer (127.0.0.1) starten und sich mit ihm verbinden. Bietet zuerst die Installation an, wenn er fehlt.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Stop the server that this module started.</source>
        <translation>Den Server beenden, den dieses Modul gestartet hat.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Images</source>
        <translation>Bilder</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Folder of the images and labels that the server works on. Created when it is missing.</source>
        <translation>Ordner der Bilder und Labels, mit denen der Server arbeitet. Wird angelegt, wenn er fehlt.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Environment</source>
        <translation>Umgebung</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Folder of the server's own Python environment. Slicer's Python is never touched.</source>
        <translation>Ordner der eigenen Python-Umgebung des Servers. Slicers Python bleibt immer unberührt.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Output of the installation or the server.</source>
        <translation>Ausgabe der Installation oder des Servers.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Advanced</source>
        <translation>Erweitert</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Rarely needed.</source>
        <translation>Selten gebraucht.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Decoder</source>
        <translation>Decoder</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>binary: the mask of the prompts; semantic: only what belongs to the category.</source>
        <translation>binär: die Maske der Markierungen; semantisch: nur, was zur Kategorie gehört.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>CT window</source>
        <translation>CT-Fenster</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Hounsfield window of a CT for the model; empty for the server's choice.</source>
        <translation>Hounsfield-Fenster eines CT für das Modell; leer für die Wahl des Servers.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Your name</source>
        <translation>Ihr Name</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>goes with submitted labels</source>
        <translation>wird mit Labels eingereicht</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Name that is sent with submitted labels. Stored on this computer; if empty, no name is sent.</source>
        <translation>Name, der mit eingereichten Labels gesendet wird. Auf diesem Computer gespeichert; ist er leer, wird keiner gesendet.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Unsaved work</source>
        <translation>Ungesicherte Arbeit</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Keep unsaved work on the server</source>
        <translation>Auf dem Server aufheben</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Segments and prompts are sent to the server that has the image, some seconds after each change, and offered when the image is opened again after a crash. The server deletes them after a submission, or after some days. At first on for a server on this computer and off for others. Off also deletes what is there.</source>
        <translation>Segmente und Markierungen werden einige Sekunden nach jeder Änderung an den Server geschickt, der das Bild hat, und nach einem Absturz angeboten, wenn das Bild wieder geöffnet wird. Der Server löscht sie nach dem Einreichen oder nach einigen Tagen. Zunächst an für einen Server auf diesem Computer und aus für andere. Ausschalten löscht auch, was dort ist.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Ask again before uploading</source>
        <translation>Vor dem Senden wieder fragen</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Withdraw your consent to send images to this server.</source>
        <translation>Ihr Einverständnis zurückziehen, Bilder an diesen Server zu senden.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Forget drafts</source>
        <translation>Entwürfe löschen</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Delete all unsaved work of yours from the server. What is in the scene stays.</source>
        <translation>Ihre ganze ungesicherte Arbeit auf dem Server löschen. Was in der Szene ist, bleibt.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Export</source>
        <translation>Export</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>NIfTI…</source>
        <translation>NIfTI …</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Save the segmentation as a NIfTI label map, by Slicer's own exporter.</source>
        <translation>Die Segmentierung mit Slicers eigenem Export als NIfTI-Labelkarte speichern.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>DICOM SEG…</source>
        <translation>DICOM SEG …</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Export the segmentation with its coded categories, by Slicer's own DICOM export (needs the extension QuantitativeReporting).</source>
        <translation>Die Segmentierung mit ihren kodierten Kategorien exportieren, mit Slicers eigenem DICOM-Export (braucht die Erweiterung QuantitativeReporting).</translation>
    </message>
</context>
<context>
    <name>SEGSAMLib.Errors</name>
    <message>
        <location filename="../../SEGSAMLib/Errors.py"/>
        <source>The image will be sent to {server}, which is another computer. Do you agree?</source>
        <translation>Das Bild wird an {server} gesendet, einen anderen Computer. Sind Sie einverstanden?</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Errors.py"/>
        <source>Nothing was sent.</source>
        <translation>Es wurde nichts gesendet.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Errors.py"/>
        <source>The weights {weights} on {server} are not free for every use. Their licence:

{licence}

Is your use allowed by it? You are asked once for these weights on this server.</source>
        <translation>Die Gewichte {weights} auf {server} sind nicht für jede Verwendung frei. Ihre Lizenz:

{licence}

Erlaubt sie Ihre Verwendung? Sie werden für diese Gewichte auf diesem Server einmal gefragt.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Errors.py"/>
        <source>The licence of the weights was not accepted, so they were not used.</source>
        <translation>Die Lizenz der Gewichte wurde nicht angenommen, daher wurden sie nicht verwendet.</translation>
    </message>
</context>
<context>
    <name>SEGSAMLib.Widget</name>
    <message>
        <location filename="../../SEGSAMLib/Widget.py"/>
        <source>Cancelled; nothing was changed.</source>
        <translation>Abgebrochen; es wurde nichts geändert.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Widget.py"/>
        <source>You will be asked before an image is sent to {server}.</source>
        <translation>Sie werden gefragt, bevor ein Bild an {server} gesendet wird.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Widget.py"/>
        <source>Save as NIfTI</source>
        <translation>Als NIfTI speichern</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Widget.py"/>
        <source>Folder for the DICOM segmentation</source>
        <translation>Ordner für die DICOM-Segmentierung</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Widget.py"/>
        <source>Saved: {path}</source>
        <translation>Gespeichert: {path}</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Widget.py"/>
        <source>{category}: {added} voxels more, {removed} fewer.</source>
        <translation>{category}: {added} Voxel mehr, {removed} weniger.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Widget.py"/>
        <source>{added} voxels more, {removed} fewer.</source>
        <translation>{added} Voxel mehr, {removed} weniger.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Widget.py"/>
        <source>{category}: nothing changed.</source>
        <translation>{category}: nichts hat sich geändert.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Widget.py"/>
        <source>Nothing changed.</source>
        <translation>Nichts hat sich geändert.</translation>
    </message>
</context>
<context>
    <name>SEGSAMLib.Workflow</name>
    <message>
        <location filename="../../SEGSAMLib/Workflow.py"/>
        <source>Another volume was chosen meanwhile; nothing was changed.</source>
        <translation>Inzwischen wurde ein anderes Volumen gewählt; es wurde nichts geändert.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Workflow.py"/>
        <source>The server has no such version of this label.</source>
        <translation>Der Server hat keine solche Version dieses Labels.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Workflow.py"/>
        <source>{image} version {number} of {user}</source>
        <translation>{image} Version {number} von {user}</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Workflow.py"/>
        <source>{image} version {number}</source>
        <translation>{image} Version {number}</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Workflow.py"/>
        <source>Connect to a server first.</source>
        <translation>Verbinden Sie sich zuerst mit einem Server.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Workflow.py"/>
        <source>This volume has no label on the server yet.</source>
        <translation>Dieses Volumen hat auf dem Server noch kein Label.</translation>
    </message>
</context>
<context>
    <name>Scene.DraftExchange</name>
    <message>
        <location filename="../../SEGSAMLib/Scene/DraftExchange.py"/>
        <source>Another segmentation was chosen; the unsaved work waits.</source>
        <translation>Eine andere Segmentierung wurde gewählt; die ungesicherte Arbeit wartet.</translation>
    </message>
</context>
<context>
    <name>Scene.FileExchange</name>
    <message>
        <location filename="../../SEGSAMLib/Scene/FileExchange.py"/>
        <source>There is nothing to save yet: all segments are empty.</source>
        <translation>Es gibt noch nichts zu speichern: Alle Segmente sind leer.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/FileExchange.py"/>
        <source>Expected a label of {expected} voxels like the volume, got {found}.</source>
        <translation>Erwartet wurde ein Label von {expected} Voxeln wie das Volumen, erhalten wurde {found}.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/FileExchange.py"/>
        <source>Slicer could not export the segmentation. Is it empty?</source>
        <translation>Slicer konnte die Segmentierung nicht exportieren. Ist sie leer?</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/FileExchange.py"/>
        <source>{path} cannot be written: {reason}.</source>
        <translation>{path} kann nicht geschrieben werden: {reason}.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/FileExchange.py"/>
        <source>A DICOM segmentation needs a volume that was loaded from DICOM; this one was not.</source>
        <translation>Eine DICOM-Segmentierung braucht ein Volumen, das aus DICOM geladen wurde; dieses wurde es nicht.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/FileExchange.py"/>
        <source>Slicer exports DICOM segmentations with its extension QuantitativeReporting: install it in the Extensions Manager.</source>
        <translation>Slicer exportiert DICOM-Segmentierungen mit seiner Erweiterung QuantitativeReporting: Installieren Sie sie im Erweiterungsmanager.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/FileExchange.py"/>
        <source>The images of the volume are no longer in Slicer's DICOM database.</source>
        <translation>Die Bilder des Volumens sind nicht mehr in Slicers DICOM-Datenbank.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/FileExchange.py"/>
        <source>Slicer could not export the segmentation: {problem}</source>
        <translation>Slicer konnte die Segmentierung nicht exportieren: {problem}</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/FileExchange.py"/>
        <source>The file that the server sent cannot be read.</source>
        <translation>Die Datei, die der Server gesendet hat, kann nicht gelesen werden.</translation>
    </message>
</context>
<context>
    <name>Scene.Frames</name>
    <message>
        <location filename="../../SEGSAMLib/Scene/Frames.py"/>
        <source>Choose a volume first.</source>
        <translation>Wählen Sie zuerst ein Volumen.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/Frames.py"/>
        <source>{first} and {second} are under different transforms, and one is not linear. Put both under the same transform, or harden it.</source>
        <translation>{first} und {second} stehen unter verschiedenen Transformationen, und eine ist nicht linear. Stellen Sie beide unter dieselbe Transformation, oder wenden Sie sie fest an (Harden).</translation>
    </message>
</context>
<context>
    <name>Scene.Logic</name>
    <message>
        <location filename="../../SEGSAMLib/Scene/Logic.py"/>
        <source>reset of the segment</source>
        <translation>Zurücksetzen des Segments</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/Logic.py"/>
        <source>confirmation of a slice</source>
        <translation>Bestätigung einer Schicht</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/Logic.py"/>
        <source>choice of a category</source>
        <translation>Wahl einer Kategorie</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/Logic.py"/>
        <source>The reply belongs to an earlier request; nothing was changed.</source>
        <translation>Die Antwort gehört zu einer früheren Anfrage; es wurde nichts geändert.</translation>
    </message>
</context>
<context>
    <name>Scene.SampleCT</name>
    <message>
        <location filename="../../SEGSAMLib/Scene/SampleCT.py"/>
        <source>The sample CT could not be downloaded: is this computer connected to the Internet? An image of your own will do, too.</source>
        <translation>Das Beispiel-CT konnte nicht heruntergeladen werden: Ist dieser Computer mit dem Internet verbunden? Ein eigenes Bild tut es auch.</translation>
    </message>
</context>
<context>
    <name>Scene.SceneNodes</name>
    <message>
        <location filename="../../SEGSAMLib/Scene/SceneNodes.py"/>
        <source>Choose a segment first.</source>
        <translation>Wählen Sie zuerst ein Segment.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/SceneNodes.py"/>
        <source>Choose a segmentation first.</source>
        <translation>Wählen Sie zuerst eine Segmentierung.</translation>
    </message>
</context>
<context>
    <name>Scene.SegmentPrompts</name>
    <message>
        <location filename="../../SEGSAMLib/Scene/SegmentPrompts.py"/>
        <source>point</source>
        <translation>Punkt</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/SegmentPrompts.py"/>
        <source>box</source>
        <translation>Box</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/SegmentPrompts.py"/>
        <source>scribble</source>
        <translation>Strich</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/SegmentPrompts.py"/>
        <source>lasso</source>
        <translation>Lasso</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/SegmentPrompts.py"/>
        <source>removal of a prompt</source>
        <translation>Löschen einer Markierung</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/SegmentPrompts.py"/>
        <source>removal of all prompts</source>
        <translation>Löschen aller Markierungen</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/SegmentPrompts.py"/>
        <source>change of a prompt</source>
        <translation>Änderung einer Markierung</translation>
    </message>
</context>
<context>
    <name>Scene.Segments</name>
    <message>
        <location filename="../../SEGSAMLib/Scene/Segments.py"/>
        <source>The segmentation was changed meanwhile.</source>
        <translation>Die Segmentierung wurde inzwischen geändert.</translation>
    </message>
</context>
<context>
    <name>Scene.UndoHistory</name>
    <message>
        <location filename="../../SEGSAMLib/Scene/UndoHistory.py"/>
        <source>The segmentation has another voxel grid than at this step, so it cannot be undone.</source>
        <translation>Die Segmentierung hat ein anderes Voxelgitter als bei diesem Schritt, daher kann er nicht rückgängig gemacht werden.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/UndoHistory.py"/>
        <source>Another step was made meanwhile; nothing was changed.</source>
        <translation>Inzwischen wurde ein anderer Schritt getan; es wurde nichts geändert.</translation>
    </message>
</context>
<context>
    <name>Server.Client</name>
    <message>
        <location filename="../../SEGSAMLib/Server/Client.py"/>
        <source>{url} is the MONAI Label app {name}, which does not have the SEG-SAM requests; start the SEG-SAM app there.</source>
        <translation>{url} ist die MONAI-Label-App {name}, die die Anfragen von SEG-SAM nicht kennt; starten Sie dort die SEG-SAM-App.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Client.py"/>
        <source>without a name</source>
        <translation>ohne Namen</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Client.py"/>
        <source>Connected to {name} {version} at {url}: names {count} categories.</source>
        <translation>Verbunden mit {name} {version} auf {url}: benennt {count} Kategorien.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Client.py"/>
        <source>Connected to {name} {version} at {url}: names nothing.</source>
        <translation>Verbunden mit {name} {version} auf {url}: benennt nichts.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Client.py"/>
        <source>The connection is not encrypted: use https for images of patients.</source>
        <translation>Die Verbindung ist nicht verschlüsselt: Verwenden Sie https für Bilder von Patienten.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Client.py"/>
        <source>Expected the id of an image, got {found}.</source>
        <translation>Erwartet wurde die Kennung eines Bildes, erhalten wurde {found}.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Client.py"/>
        <source>downloading {image}</source>
        <translation>{image} wird heruntergeladen</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Client.py"/>
        <source>segmenting</source>
        <translation>Wird segmentiert</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Client.py"/>
        <source>learning from your slices: {done} of {total}</source>
        <translation>lernt aus Ihren Schichten: {done} von {total}</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Client.py"/>
        <source>slice {done} of {total}</source>
        <translation>Schicht {done} von {total}</translation>
    </message>
</context>
<context>
    <name>Server.Http</name>
    <message>
        <location filename="../../SEGSAMLib/Server/Http.py"/>
        <source>Expected a token of ASCII characters without spaces.</source>
        <translation>Erwartet wurde ein Token aus ASCII-Zeichen ohne Leerzeichen.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Http.py"/>
        <source>{url} cannot be reached: {reason}.</source>
        <translation>{url} ist nicht erreichbar: {reason}.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Http.py"/>
        <source>Expected a reply of at most {limit} MB, and the server announces {size} MB.</source>
        <translation>Erwartet wurde eine Antwort von höchstens {limit} MB, und der Server kündigt {size} MB an.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Http.py"/>
        <source>in an encoding that was not requested</source>
        <translation>in einer Kodierung, die nicht verlangt war</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Http.py"/>
        <source>endless</source>
        <translation>endlos</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Http.py"/>
        <source>The server's reply was cut off; try again.</source>
        <translation>Die Antwort des Servers brach ab; versuchen Sie es noch einmal.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Http.py"/>
        <source>The certificate file {path} cannot be read as PEM.</source>
        <translation>Die Zertifikatsdatei {path} kann nicht als PEM gelesen werden.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Http.py"/>
        <source>The server's certificate is not accepted: {reason}. If your hospital issued it, choose the hospital's certificate file (CA) in the section Server.</source>
        <translation>Das Zertifikat des Servers wird nicht angenommen: {reason}. Wenn Ihr Krankenhaus es ausgestellt hat, wählen Sie im Abschnitt „Server“ dessen Zertifikatsdatei (CA).</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Http.py"/>
        <source>{url} does not speak TLS as it should; is it http:// instead of https://?</source>
        <translation>{url} spricht kein ordentliches TLS; beginnt die Adresse mit http:// statt https://?</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Http.py"/>
        <source>There is no computer named {host}.</source>
        <translation>Es gibt keinen Computer namens {host}.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Http.py"/>
        <source>No server runs at {url}: start it, or check host and port.</source>
        <translation>Auf {url} läuft kein Server: Starten Sie ihn, oder prüfen Sie Host und Port.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Http.py"/>
        <source>{url} did not answer within {seconds} s: it is busy, or a firewall blocks the connection.</source>
        <translation>{url} hat nicht innerhalb von {seconds} s geantwortet: Er ist beschäftigt, oder eine Firewall verhindert die Verbindung.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Http.py"/>
        <source>{url} closed the connection, or does not speak HTTP.</source>
        <translation>{url} hat die Verbindung geschlossen oder spricht kein HTTP.</translation>
    </message>
</context>
<context>
    <name>Server.HttpReply</name>
    <message>
        <location filename="../../SEGSAMLib/Server/HttpReply.py"/>
        <source>no JSON object</source>
        <translation>kein JSON-Objekt</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/HttpReply.py"/>
        <source>The server redirects to {target}. If that is right, enter it as the address.</source>
        <translation>Der Server leitet an {target} weiter. Wenn das richtig ist, geben Sie dies als Adresse ein.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/HttpReply.py"/>
        <source>The server requires a token, or another one than this.</source>
        <translation>Der Server verlangt ein Token, oder ein anderes als dieses.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/HttpReply.py"/>
        <source>The server replied with status {status} and gave no reason.</source>
        <translation>Der Server antwortete mit Status {status} und nannte keinen Grund.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/HttpReply.py"/>
        <source>The server did not understand the request; is it of another version?</source>
        <translation>Der Server hat die Anfrage nicht verstanden; hat er eine andere Version?</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/HttpReply.py"/>
        <source>The server does not allow this.</source>
        <translation>Der Server erlaubt das nicht.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/HttpReply.py"/>
        <source>The server does not have this. Is it a SEG-SAM server, and is the address right?</source>
        <translation>Der Server hat das nicht. Ist es ein SEG-SAM-Server, und stimmt die Adresse?</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/HttpReply.py"/>
        <source>The server does not accept uploads of this size.</source>
        <translation>Der Server nimmt Dateien dieser Größe nicht an.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/HttpReply.py"/>
        <source>The proxy in front of the server gets no reply from it.</source>
        <translation>Der Proxy vor dem Server bekommt von ihm keine Antwort.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/HttpReply.py"/>
        <source>The server is busy; try again in a moment.</source>
        <translation>Der Server ist beschäftigt; versuchen Sie es gleich noch einmal.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/HttpReply.py"/>
        <source>The proxy in front of the server waited too long for it.</source>
        <translation>Der Proxy vor dem Server hat zu lange auf ihn gewartet.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/HttpReply.py"/>
        <source>a web page</source>
        <translation>eine Webseite</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/HttpReply.py"/>
        <source>no JSON</source>
        <translation>kein JSON</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/HttpReply.py"/>
        <source>The reply is {kind}: this is not a SEG-SAM server, or one of another version.</source>
        <translation>Die Antwort ist {kind}: Das ist kein SEG-SAM-Server, oder einer anderer Version.</translation>
    </message>
</context>
<context>
    <name>Server.Install</name>
    <message>
        <location filename="../../SEGSAMLib/Server/Install.py"/>
        <source>The server needs Python 3.10, 3.11 or 3.12 of its own, and none was found on this computer. Install one from python.org (Windows, macOS) or with your package manager (Linux: python3 with python3-venv), and try again.</source>
        <translation>Der Server braucht ein eigenes Python 3.10, 3.11 oder 3.12, und auf diesem Computer wurde keines gefunden. Installieren Sie eines von python.org (Windows, macOS) oder mit Ihrer Paketverwaltung (Linux: python3 mit python3-venv), und versuchen Sie es noch einmal.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Install.py"/>
        <source>There is no server in {folder}: install it first.</source>
        <translation>In {folder} ist kein Server: Installieren Sie ihn zuerst.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Install.py"/>
        <source>No port of 127.0.0.1 is free.</source>
        <translation>Kein Port von 127.0.0.1 ist frei.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Install.py"/>
        <source>The server needs {needed} GB in {folder}, which has {free} GB left: free some space, or choose another folder.</source>
        <translation>Der Server braucht {needed} GB in {folder}, wo noch {free} GB frei sind: Schaffen Sie Platz, oder wählen Sie einen anderen Ordner.</translation>
    </message>
</context>
<context>
    <name>Server.Process</name>
    <message>
        <location filename="../../SEGSAMLib/Server/Process.py"/>
        <source>{program} could not be started: {error}.</source>
        <translation>{program} konnte nicht gestartet werden: {error}.</translation>
    </message>
</context>
<context>
    <name>Server.ReplyReaders</name>
    <message>
        <location filename="../../SEGSAMLib/Server/ReplyReaders.py"/>
        <source>belongs to another request</source>
        <translation>gehört zu einer anderen Anfrage</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/ReplyReaders.py"/>
        <source>No image without a label can be opened.</source>
        <translation>Kein Bild ohne Label kann geöffnet werden.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/ReplyReaders.py"/>
        <source>{count} image(s) cannot be opened: {names} and others.</source>
        <translation>Nicht zu öffnende Bilder: {count} ({names} und andere).</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/ReplyReaders.py"/>
        <source>{count} image(s) cannot be opened: {names}.</source>
        <translation>Nicht zu öffnende Bilder: {count} ({names}).</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/ReplyReaders.py"/>
        <source>does not contain the version under which the label was saved</source>
        <translation>enthält nicht die Version, unter der das Label gespeichert wurde</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/ReplyReaders.py"/>
        <source>does not contain the state of the training</source>
        <translation>enthält nicht den Stand des Trainings</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/ReplyReaders.py"/>
        <source>contains no version of the model</source>
        <translation>enthält keine Version des Modells</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/ReplyReaders.py"/>
        <source>contains a mask whose encoding is not {encoding}</source>
        <translation>enthält eine Maske, deren Kodierung nicht {encoding} ist</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/ReplyReaders.py"/>
        <source>is for a volume of {other} voxels, and this one has {own}</source>
        <translation>ist für ein Volumen von {other} Voxeln, und dieses hat {own}</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/ReplyReaders.py"/>
        <source>contains a mask from {low} to {high}, which is not in the volume</source>
        <translation>enthält eine Maske von {low} bis {high}, die nicht im Volumen liegt</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/ReplyReaders.py"/>
        <source>contains a mask that cannot be unpacked</source>
        <translation>enthält eine Maske, die sich nicht entpacken lässt</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/ReplyReaders.py"/>
        <source>contains {found} where a voxel was expected</source>
        <translation>enthält {found}, wo ein Voxel erwartet wurde</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/ReplyReaders.py"/>
        <source>The server's reply {problem}; nothing was changed.</source>
        <translation>Die Antwort des Servers {problem}; es wurde nichts geändert.</translation>
    </message>
</context>
<context>
    <name>Server.Transport</name>
    <message>
        <location filename="../../SEGSAMLib/Server/Transport.py"/>
        <source>sending {done} of {total} MB</source>
        <translation>{done} von {total} MB gesendet</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Transport.py"/>
        <source>The server sent a file of a type that cannot be opened.</source>
        <translation>Der Server hat eine Datei gesendet, deren Typ sich nicht öffnen lässt.</translation>
    </message>
</context>
<context>
    <name>Server.Uploads</name>
    <message>
        <location filename="../../SEGSAMLib/Server/Uploads.py"/>
        <source>reading the image</source>
        <translation>Bild wird gelesen</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Uploads.py"/>
        <source>preparing the image</source>
        <translation>Bild wird vorbereitet</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Uploads.py"/>
        <source>Expected the id of a session, got {found}.</source>
        <translation>Erwartet wurde die Kennung einer Sitzung, erhalten wurde {found}.</translation>
    </message>
</context>
<context>
    <name>Server.Worker</name>
    <message>
        <location filename="../../SEGSAMLib/Server/Worker.py"/>
        <source>Cancelled; nothing was changed.</source>
        <translation>Abgebrochen; es wurde nichts geändert.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Worker.py"/>
        <source>This is a bug of the SEG-SAM module; the Python console has the details.</source>
        <translation>Das ist ein Fehler des SEG-SAM-Moduls; Näheres steht in der Python-Konsole.</translation>
    </message>
</context>
<context>
    <name>Values.Address</name>
    <message>
        <location filename="../../SEGSAMLib/Values/Address.py"/>
        <source>Type the server's address, such as {local} or {remote}.</source>
        <translation>Geben Sie die Adresse des Servers ein, zum Beispiel {local} oder {remote}.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Address.py"/>
        <source>Expected an address of scheme, host, port and path only. Enter a token in its own field.</source>
        <translation>Erwartet wurde eine Adresse nur aus Schema, Host, Port und Pfad. Ein Token gehört in sein eigenes Feld.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Address.py"/>
        <source>Expected an address such as {local} or {remote}, got {typed}.</source>
        <translation>Erwartet wurde eine Adresse wie {local} oder {remote}, erhalten wurde {typed}.</translation>
    </message>
</context>
<context>
    <name>Values.Completions</name>
    <message>
        <location filename="../../SEGSAMLib/Values/Completions.py"/>
        <source>Confirm a slice of the segment first (C): outline the object on it, or correct what the model drew.</source>
        <translation>Bestätigen Sie zuerst eine Schicht des Segments (C): umfahren Sie das Objekt darauf, oder korrigieren Sie, was das Modell gezeichnet hat.</translation>
    </message>
</context>
<context>
    <name>Values.Draft</name>
    <message>
        <location filename="../../SEGSAMLib/Values/Draft.py"/>
        <source>This unsaved work is not kept on the server: it has {size} MB, and at most {most} MB are kept. Save the scene, or submit the label.</source>
        <translation>Diese ungesicherte Arbeit wird nicht auf dem Server aufgehoben: Sie hat {size} MB, und höchstens {most} MB werden aufgehoben. Speichern Sie die Szene, oder reichen Sie das Label ein.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Draft.py"/>
        <source>The unsaved work on the server has the format {found}, and this module reads format {format}. A newer version of it may read it.</source>
        <translation>Die ungesicherte Arbeit auf dem Server hat das Format {found}, und dieses Modul liest Format {format}. Eine neuere Version kann sie vielleicht lesen.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Draft.py"/>
        <source>The unsaved work on the server lies on another voxel grid.</source>
        <translation>Die ungesicherte Arbeit auf dem Server liegt auf einem anderen Voxelgitter.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Draft.py"/>
        <source>The unsaved work on the server cannot be read.</source>
        <translation>Die ungesicherte Arbeit auf dem Server kann nicht gelesen werden.</translation>
    </message>
</context>
<context>
    <name>Values.Geometry</name>
    <message>
        <location filename="../../SEGSAMLib/Values/Geometry.py"/>
        <source>The volume has no usable geometry: its voxels have no size.</source>
        <translation>Das Volumen hat keine brauchbare Geometrie: Seine Voxel haben keine Größe.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Geometry.py"/>
        <source>The point lies outside the volume: voxel {axis} = {index}, and the volume has 0 to {last}.</source>
        <translation>Der Punkt liegt außerhalb des Volumens: Voxel {axis} = {index}, und das Volumen hat 0 bis {last}.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Geometry.py"/>
        <source>sagittal</source>
        <translation>sagittal</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Geometry.py"/>
        <source>coronal</source>
        <translation>koronal</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Geometry.py"/>
        <source>axial</source>
        <translation>axial</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Geometry.py"/>
        <source>The box has no area: drag from one corner to the opposite one.</source>
        <translation>Die Box hat keine Fläche: Ziehen Sie von einer Ecke zur gegenüberliegenden.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Geometry.py"/>
        <source>The scribble has no points.</source>
        <translation>Der Strich hat keine Punkte.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Geometry.py"/>
        <source>The scribble lies outside the volume.</source>
        <translation>Der Strich liegt außerhalb des Volumens.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Geometry.py"/>
        <source>The box lies outside the volume: voxels {low} to {high} along {axis}, and the volume has 0 to {last}.</source>
        <translation>Die Box liegt außerhalb des Volumens: Voxel {low} bis {high} entlang {axis}, und das Volumen hat 0 bis {last}.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Geometry.py"/>
        <source>The box is only one voxel wide along {axis} inside the volume: draw a larger one.</source>
        <translation>Die Box ist im Volumen entlang {axis} nur ein Voxel breit: Zeichnen Sie eine größere.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Geometry.py"/>
        <source>The box reached outside the volume and was clipped to it.</source>
        <translation>Die Box reichte aus dem Volumen hinaus und wurde darauf zugeschnitten.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Geometry.py"/>
        <source>Expected points with three finite coordinates, got {points}.</source>
        <translation>Erwartet wurden Punkte mit drei endlichen Koordinaten, erhalten wurde {points}.</translation>
    </message>
</context>
<context>
    <name>Values.ImageFiles</name>
    <message>
        <location filename="../../SEGSAMLib/Values/ImageFiles.py"/>
        <source>Expected a volume of numbers, got voxels of the type {type}, which cannot be sent.</source>
        <translation>Erwartet wurde ein Volumen aus Zahlen, erhalten wurden Voxel vom Typ {type}, die nicht gesendet werden können.</translation>
    </message>
</context>
<context>
    <name>Values.Layers</name>
    <message>
        <location filename="../../SEGSAMLib/Values/Layers.py"/>
        <source>The segment was removed.</source>
        <translation>Das Segment wurde entfernt.</translation>
    </message>
</context>
<context>
    <name>Values.Outlines</name>
    <message>
        <location filename="../../SEGSAMLib/Values/Outlines.py"/>
        <source>The outline lies outside the volume.</source>
        <translation>Der Umriss liegt außerhalb des Volumens.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Outlines.py"/>
        <source>The outline has no area inside the volume: draw around the object.</source>
        <translation>Der Umriss hat im Volumen keine Fläche: Umfahren Sie das Objekt.</translation>
    </message>
</context>
<context>
    <name>Values.Prompts</name>
    <message>
        <location filename="../../SEGSAMLib/Values/Prompts.py"/>
        <source>Mark the object first: a box or lasso around it, or a point or scribble inside it.</source>
        <translation>Markieren Sie zuerst das Objekt: mit einer Box oder einem Lasso darum, oder einem Punkt oder Strich darin.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Prompts.py"/>
        <source>The prompts in this scene have the format {found}, and this module reads formats 1 and {newest}. A newer version of it may read them.</source>
        <translation>Die Markierungen in dieser Szene haben das Format {found}, und dieses Modul liest die Formate 1 und {newest}. Eine neuere Version kann sie vielleicht lesen.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Prompts.py"/>
        <source>The prompts in this scene cannot be read: {text}.</source>
        <translation>Die Markierungen in dieser Szene können nicht gelesen werden: {text}.</translation>
    </message>
</context>
<context>
    <name>Values.Results</name>
    <message>
        <location filename="../../SEGSAMLib/Values/Results.py"/>
        <source>The segment was removed before the result came; nothing was changed.</source>
        <translation>Das Segment wurde entfernt, bevor das Ergebnis kam; es wurde nichts geändert.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Results.py"/>
        <source>completion</source>
        <translation>Ergänzung</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Results.py"/>
        <source>result</source>
        <translation>Ergebnis</translation>
    </message>
</context>
<context>
    <name>qSlicerAbstractCoreModule</name>
    <message>
        <location filename="../../SEGSAM.py"/>
        <source>Segmentation</source>
        <translation type="unfinished"></translation>
    </message>
</context>
</TS>
