<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="fr-FR" sourcelanguage="en">
<context>
    <name>Panels.Choices</name>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>auto</source>
        <translation>automatique</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>all</source>
        <translation>tous</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>in boxes</source>
        <translation>dans les boîtes</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>always</source>
        <translation>toujours</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>never</source>
        <translation>jamais</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>overwrite</source>
        <translation>remplacer</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>keep others</source>
        <translation>garder les autres</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>allow overlap</source>
        <translation>permettre le chevauchement</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>binary</source>
        <translation>binaire</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>semantic</source>
        <translation>sémantique</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>soft-tissue</source>
        <translation>tissus mous</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>lung</source>
        <translation>poumon</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>bone</source>
        <translation>os</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>brain</source>
        <translation>cerveau</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>liver</source>
        <translation>foie</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>mediastinum</source>
        <translation>médiastin</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>angio</source>
        <translation>angio</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>stroke</source>
        <translation>AVC</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>spine</source>
        <translation>rachis</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>agreement</source>
        <translation>accord</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>diversity</source>
        <translation>diversité</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>mix</source>
        <translation>mélange</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>random</source>
        <translation>au hasard</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>first</source>
        <translation>dans l'ordre</translation>
    </message>
</context>
<context>
    <name>Panels.ConnectionPanel</name>
    <message>
        <location filename="../../SEGSAMLib/Panels/ConnectionPanel.py"/>
        <source>Connecting …</source>
        <translation>Connexion …</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ConnectionPanel.py"/>
        <source>Cancelled.</source>
        <translation>Annulé.</translation>
    </message>
</context>
<context>
    <name>Panels.DraftPanel</name>
    <message>
        <location filename="../../SEGSAMLib/Panels/DraftPanel.py"/>
        <source>Your unsaved work is back (segments: {count}).</source>
        <translation>Votre travail non enregistré est de retour (segments : {count}).</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/DraftPanel.py"/>
        <source>There is unsaved work on this image, of {time} (segments: {count}).

Continue it? If not, it is deleted.</source>
        <translation>Il existe un travail non enregistré sur cette image, de {time} (segments : {count}).

Le continuer ? Sinon, il sera supprimé.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/DraftPanel.py"/>
        <source>Your unsaved work on the server is deleted.</source>
        <translation>Votre travail non enregistré sur le serveur est supprimé.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/DraftPanel.py"/>
        <source>Unsaved work: {reason}</source>
        <translation>Travail non enregistré : {reason}</translation>
    </message>
</context>
<context>
    <name>Panels.FindPanel</name>
    <message>
        <location filename="../../SEGSAMLib/Panels/FindPanel.py"/>
        <source>Looking for {name} …</source>
        <translation>Recherche de {name} …</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/FindPanel.py"/>
        <source>Nothing was found.</source>
        <translation>Rien n'a été trouvé.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/FindPanel.py"/>
        <source>Found: {name}.</source>
        <translation>Trouvé : {name}.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/FindPanel.py"/>
        <source>Found: {name} (certainty {percent} %).</source>
        <translation>Trouvé : {name} (certitude {percent} %).</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/FindPanel.py"/>
        <source>Not found: {name}.</source>
        <translation>Introuvable : {name}.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/FindPanel.py"/>
        <source>That it is there after all: {percent} %.</source>
        <translation>Probabilité qu'il y soit tout de même : {percent} %.</translation>
    </message>
</context>
<context>
    <name>Panels.FirstRunPanel</name>
    <message>
        <location filename="../../SEGSAMLib/Panels/FirstRunPanel.py"/>
        <source>The section Server on this computer shows how far it is.</source>
        <translation>La section « Serveur sur cet ordinateur » montre où il en est.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/FirstRunPanel.py"/>
        <source>No server was started.</source>
        <translation>Aucun serveur n'a été démarré.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/FirstRunPanel.py"/>
        <source>Type the address of the server, and its token if it requires one, and press Connect.</source>
        <translation>Saisissez l'adresse du serveur, et son jeton s'il en exige un, puis cliquez sur « Connecter ».</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/FirstRunPanel.py"/>
        <source>Drag a box around the right kidney in the axial view (on the left of the picture).</source>
        <translation>Tracez une boîte autour du rein droit dans la vue axiale (à gauche de l'image).</translation>
    </message>
</context>
<context>
    <name>Panels.Pixmaps</name>
    <message>
        <location filename="../../SEGSAMLib/Panels/Pixmaps.py"/>
        <source>epoch {number}</source>
        <translation>époque {number}</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Pixmaps.py"/>
        <source>The curve of a training.</source>
        <translation>La courbe d'un entraînement.</translation>
    </message>
</context>
<context>
    <name>Panels.PromptTools</name>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>Sign: inside (T)</source>
        <translation>Signe : dedans (T)</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>Sign: outside (T)</source>
        <translation>Signe : dehors (T)</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>Click inside the object. T: outside.</source>
        <translation>Cliquez dans l'objet. T: dehors.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>Click what is outside the object. T: inside.</source>
        <translation>Cliquez sur ce qui est hors de l'objet. T: dedans.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>Drag a box around the object. T: outside.</source>
        <translation>Tracez une boîte autour de l'objet. T: dehors.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>Drag a box around what is outside the object. T: inside.</source>
        <translation>Tracez une boîte autour de ce qui est hors de l'objet. T: dedans.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>Drag a 3D box around the object. T: outside.</source>
        <translation>Tracez une boîte 3D autour de l'objet. T: dehors.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>Drag a 3D box around what is outside the object. T: inside.</source>
        <translation>Tracez une boîte 3D autour de ce qui est hors de l'objet. T: dedans.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>Draw a stroke inside the object. T: outside.</source>
        <translation>Tracez un trait dans l'objet. T: dehors.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>Draw a stroke outside the object. T: inside.</source>
        <translation>Tracez un trait hors de l'objet. T: dedans.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>Draw around the object. T: outside.</source>
        <translation>Entourez l'objet. T: dehors.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>Draw around what is outside the object. T: inside.</source>
        <translation>Entourez ce qui est hors de l'objet. T: dedans.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>The next prompts mark what is inside the object (T).</source>
        <translation>Les prochains repères désignent ce qui est dans l'objet (T).</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>The next prompts mark what is outside the object (T).</source>
        <translation>Les prochains repères désignent ce qui est hors de l'objet (T).</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>point inside</source>
        <translation>point dedans</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>point outside</source>
        <translation>point dehors</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>box</source>
        <translation>boîte</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>box outside</source>
        <translation>boîte dehors</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>scribble inside</source>
        <translation>trait dedans</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>scribble outside</source>
        <translation>trait dehors</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>lasso</source>
        <translation>lasso</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>lasso outside</source>
        <translation>lasso dehors</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>{first} to {last}</source>
        <translation>{first} à {last}</translation>
    </message>
</context>
<context>
    <name>Panels.PromptsPanel</name>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>Undo {step} ({key})</source>
        <translation>Annuler : {step} ({key})</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>Nothing to undo ({key})</source>
        <translation>Rien à annuler ({key})</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>Redo {step} ({key})</source>
        <translation>Rétablir : {step} ({key})</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>Nothing to redo ({key})</source>
        <translation>Rien à rétablir ({key})</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>Completing …</source>
        <translation>Complément en cours …</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>Segmenting …</source>
        <translation>Segmentation en cours …</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>Drag from one corner of the box to the opposite one.</source>
        <translation>Tracez d'un coin de la boîte au coin opposé.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>1 point inside</source>
        <translation>1 point dedans</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>{count} points inside</source>
        <translation>{count} points dedans</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>1 point outside</source>
        <translation>1 point dehors</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>{count} points outside</source>
        <translation>{count} points dehors</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>1 box</source>
        <translation>1 boîte</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>{count} boxes</source>
        <translation>{count} boîtes</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>1 box outside</source>
        <translation>1 boîte dehors</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>{count} boxes outside</source>
        <translation>{count} boîtes dehors</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>1 scribble</source>
        <translation>1 trait</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>{count} scribbles</source>
        <translation>{count} traits</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>1 scribble outside</source>
        <translation>1 trait dehors</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>{count} scribbles outside</source>
        <translation>{count} traits dehors</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>1 lasso</source>
        <translation>1 lasso</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>{count} lassos</source>
        <translation>{count} lassos</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>1 lasso outside</source>
        <translation>1 lasso dehors</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>{count} lassos outside</source>
        <translation>{count} lassos dehors</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>No prompt yet: choose a tool and mark the object in a slice view.</source>
        <translation>Pas encore de repère : choisissez un outil et marquez l'objet dans une vue de coupe.</translation>
    </message>
</context>
<context>
    <name>Panels.ResultPanel</name>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>No slice has a certainty yet: segment something first.</source>
        <translation>Aucune coupe n'a encore de certitude : segmentez d'abord quelque chose.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>Choose a segment first.</source>
        <translation>Choisissez d'abord un segment.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>No view shows a slice of this segment.</source>
        <translation>Aucune vue ne montre une coupe de ce segment.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>Slice {index} is confirmed: no result changes it. C takes it back.</source>
        <translation>La coupe {index} est confirmée : aucun résultat ne la modifie. C l'annule.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>Slice {index} is no longer confirmed.</source>
        <translation>La coupe {index} n'est plus confirmée.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>Name this segment {category}: name, colour and code follow.</source>
        <translation>Nommer ce segment {category} : nom, couleur et code suivent.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>As named in {case}.</source>
        <translation>Nommé comme dans {case}.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>unknown</source>
        <translation>inconnu</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>No segment chosen</source>
        <translation>Aucun segment choisi</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>{name} (the model's name)</source>
        <translation>{name} (nom du modèle)</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>{name} (as named in {case})</source>
        <translation>{name} (nommé comme dans {case})</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>{name} (your choice)</source>
        <translation>{name} (votre choix)</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>the model's category</source>
        <translation>la catégorie du modèle</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>Slice {index} would help most</source>
        <translation>La coupe {index} aiderait le plus</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>{plane} slice {index}: {percent} % certain</source>
        <translation>coupe {index}, {plane} : certitude {percent} %</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>{plane} slice {index}: no result here</source>
        <translation>coupe {index}, {plane} : pas de résultat ici</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>{plane} slice {index}: confirmed</source>
        <translation>coupe {index}, {plane} : confirmée</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>No other category on this slice.</source>
        <translation>Aucune autre catégorie sur cette coupe.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>Probability of {category} on this slice.</source>
        <translation>Probabilité de {category} sur cette coupe.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>Make {category} a segment</source>
        <translation>Faire de {category} un segment</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>Segmenting {category} on this slice …</source>
        <translation>Segmentation de {category} sur cette coupe …</translation>
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
        <translation>Aucun serveur SEG-SAM n'est encore installé sur cet ordinateur.

Il reçoit son propre environnement Python dans
{folder}
Le Python de Slicer n'est pas touché. Jusqu'à {size} Go sont téléchargés avec pip ; cela prend quelques minutes, pendant lesquelles vous pouvez continuer à travailler. Pour le supprimer, effacez le dossier.

L'installer maintenant ?</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ServerPanel.py"/>
        <source>Installing …</source>
        <translation>Installation …</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ServerPanel.py"/>
        <source>Starting …</source>
        <translation>Démarrage …</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ServerPanel.py"/>
        <source>Stopping …</source>
        <translation>Arrêt …</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ServerPanel.py"/>
        <source>Start</source>
        <translation>Démarrer</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ServerPanel.py"/>
        <source>Install…</source>
        <translation>Installer…</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ServerPanel.py"/>
        <source>Running on {address}.</source>
        <translation>En marche sur {address}.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ServerPanel.py"/>
        <source>The folder {folder} cannot be created: {error}.</source>
        <translation>Le dossier {folder} ne peut pas être créé : {error}.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ServerPanel.py"/>
        <source>Stopped.</source>
        <translation>Arrêté.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ServerPanel.py"/>
        <source>Installed.</source>
        <translation>Installé.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ServerPanel.py"/>
        <source>The server ended (status {status}).</source>
        <translation>Le serveur s'est terminé (état {status}).</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ServerPanel.py"/>
        <source>The installation ended (status {status}).</source>
        <translation>L'installation s'est terminée (état {status}).</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ServerPanel.py"/>
        <source>See the log below.</source>
        <translation>Voir le journal ci-dessous.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ServerPanel.py"/>
        <source>See the log in the section Server on this computer.</source>
        <translation>Voir le journal dans la section « Serveur sur cet ordinateur ».</translation>
    </message>
</context>
<context>
    <name>Panels.WorkflowPanel</name>
    <message>
        <location filename="../../SEGSAMLib/Panels/WorkflowPanel.py"/>
        <source>Loading the next image …</source>
        <translation>Chargement de l'image suivante …</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/WorkflowPanel.py"/>
        <source>Every image on the server has a label.</source>
        <translation>Chaque image du serveur a une annotation.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/WorkflowPanel.py"/>
        <source>Submitting …</source>
        <translation>Envoi …</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/WorkflowPanel.py"/>
        <source>Saved as version {version} of {image}.</source>
        <translation>Enregistré comme version {version} de {image}.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/WorkflowPanel.py"/>
        <source>The other label is in the scene, beside yours.</source>
        <translation>L'autre annotation est dans la scène, à côté de la vôtre.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/WorkflowPanel.py"/>
        <source>Starting …</source>
        <translation>Démarrage …</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/WorkflowPanel.py"/>
        <source>{state} (epoch {epoch} of {epochs}).</source>
        <translation>{state} (époque {epoch} sur {epochs}).</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/WorkflowPanel.py"/>
        <source>in use</source>
        <translation>utilisée</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/WorkflowPanel.py"/>
        <source>{image} was left out: {reason}</source>
        <translation>{image} a été écartée : {reason}</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/WorkflowPanel.py"/>
        <source>{count} more were left out.</source>
        <translation>{count} autres ont été écartées.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/WorkflowPanel.py"/>
        <source>idle</source>
        <translation>inactif</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/WorkflowPanel.py"/>
        <source>waiting</source>
        <translation>en attente</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/WorkflowPanel.py"/>
        <source>running</source>
        <translation>en cours</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/WorkflowPanel.py"/>
        <source>done</source>
        <translation>terminé</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/WorkflowPanel.py"/>
        <source>failed</source>
        <translation>échoué</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/WorkflowPanel.py"/>
        <source>stopped</source>
        <translation>arrêté</translation>
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
        <translation>Cliquez dans une vue de coupe, ou tracez une boîte ou un lasso : la structure est segmentée, nommée et codée par un serveur SEG-SAM, sur cet ordinateur ou ailleurs, qui apprend de ce que vous soumettez. &lt;a href="https://github.com/SEG-SAM/SlicerSEGSAM/blob/main/docs/tutorial.md"&gt;Tutoriel&lt;/a&gt;.</translation>
    </message>
    <message>
        <location filename="../../SEGSAM.py"/>
        <source>Rebuilds SEG-SAM: Semantic-Guided SAM for Unified Medical Image Segmentation. For research; not a medical device.</source>
        <translation>Réimplémentation de SEG-SAM: Semantic-Guided SAM for Unified Medical Image Segmentation. Pour la recherche ; ce n'est pas un dispositif médical.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Not connected.</source>
        <translation>Non connecté.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Current task, or the result of the last one.</source>
        <translation>Tâche en cours, ou résultat de la dernière.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Cancel</source>
        <translation>Annuler</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Stop waiting for the server (Esc). Nothing in the scene changes.</source>
        <translation>Ne plus attendre le serveur (Esc). Rien ne change dans la scène.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Progress of the request that is running.</source>
        <translation>Avancement de la requête en cours.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>A SEG-SAM server does the computing. Begin with:</source>
        <translation>Un serveur SEG-SAM fait les calculs. Commencez par :</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Shown until you have connected to a server for the first time.</source>
        <translation>Affiché jusqu'à votre première connexion à un serveur.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Try with the sample CT</source>
        <translation>Essayer avec le scanner d'exemple</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Download the sample CT (1 MB) by Slicer's Sample Data, and start a server on this computer. Asks before it installs one.</source>
        <translation>Télécharger le scanner d'exemple (1 Mo) par « Sample Data » de Slicer, et démarrer un serveur sur cet ordinateur. Une question précède son installation.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Server on this computer</source>
        <translation>Serveur sur cet ordinateur</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Start a server on this computer and connect to it. Asks before it installs one.</source>
        <translation>Démarrer un serveur sur cet ordinateur et s'y connecter. Une question précède son installation.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Server elsewhere</source>
        <translation>Serveur ailleurs</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Type the address of a server that somebody else runs.</source>
        <translation>Saisir l'adresse d'un serveur que quelqu'un d'autre exploite.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Server</source>
        <translation>Serveur</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Server that segments the images.</source>
        <translation>Serveur qui segmente les images.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Address of the server. Without http:// and port these are added: http and 8000 on this computer, https elsewhere.</source>
        <translation>Adresse du serveur. Sans http:// ni port, sont ajoutés : http et 8000 sur cet ordinateur, https ailleurs.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Connect</source>
        <translation>Connecter</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Test the address, the token and the certificate, and load what the server offers.</source>
        <translation>Vérifier l'adresse, le jeton et le certificat, et charger ce que le serveur propose.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Start a server below, or type the address of one and connect.</source>
        <translation>Démarrez un serveur ci-dessous, ou saisissez l'adresse d'un serveur et connectez-vous.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Result of the connection test.</source>
        <translation>Résultat du test de connexion.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Model</source>
        <translation>Modèle</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>The server's models for prompts.</source>
        <translation>Les modèles du serveur pour les repères.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Version</source>
        <translation>Version</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Version of the model in use. Changing it changes it for all users of this server.</source>
        <translation>Version du modèle utilisée. La changer la change pour tous les utilisateurs de ce serveur.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Token</source>
        <translation>Jeton</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>only if the server requires one</source>
        <translation>seulement s'il en est exigé un</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>The server's token. It is sent with every request, and to this server only.</source>
        <translation>Le jeton du serveur. Il est envoyé avec chaque requête, et à ce serveur seulement.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>keep</source>
        <translation>garder</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Store the token in your settings on this computer. Otherwise it is lost when Slicer ends.</source>
        <translation>Enregistrer le jeton dans vos réglages sur cet ordinateur. Sinon il est perdu à la fermeture de Slicer.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Certificate</source>
        <translation>Certificat</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Certificate file (PEM) of your hospital's certification authority, trusted in addition to those of the system. Certificates are always checked.</source>
        <translation>Fichier de certificat (PEM) de l'autorité de certification de votre hôpital, approuvé en plus de ceux du système. Les certificats sont toujours vérifiés.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Segment</source>
        <translation>Segment</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Choose a segment, and mark its object in the slice views.</source>
        <translation>Choisir un segment, et marquer son objet dans les vues de coupe.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Image</source>
        <translation>Image</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>The image to segment. It is sent to the server once, when it is first needed.</source>
        <translation>L'image à segmenter. Elle est envoyée une fois au serveur, dès qu'il en a besoin.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Segmentation</source>
        <translation>Segmentation</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Segmentation that gets the segments. You can continue an existing one.</source>
        <translation>Segmentation qui reçoit les segments. Vous pouvez en continuer une existante.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>+</source>
        <translation>+</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Add a segment (N)</source>
        <translation>Ajouter un segment (N)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>-</source>
        <translation>-</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Remove the chosen segment and its prompts</source>
        <translation>Supprimer le segment choisi et ses repères</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Next</source>
        <translation>Suivant</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Choose the next segment (E)</source>
        <translation>Choisir le segment suivant (E)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Show</source>
        <translation>Afficher</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Show or hide the chosen segment (G)</source>
        <translation>Afficher ou masquer le segment choisi (G)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Show the segments in the 3D views</source>
        <translation>Afficher les segments dans les vues 3D</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>The selected segment gets the prompts and the result. Each segment has its own prompts.</source>
        <translation>Le segment choisi reçoit les repères et le résultat. Chaque segment a ses propres repères.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Inside (A)</source>
        <translation>Dedans (A)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Points inside the object (A): click in a slice view</source>
        <translation>Points dans l'objet (A) : cliquer dans une vue de coupe</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Outside (S)</source>
        <translation>Dehors (S)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Points outside the object (S): click where the segment is too large</source>
        <translation>Points hors de l'objet (S) : cliquer là où le segment est trop grand</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Scribble (D)</source>
        <translation>Trait (D)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Scribble (D): draw a stroke with the button held down, inside the object or outside it (T)</source>
        <translation>Trait (D) : tracer un trait, bouton enfoncé, dans l'objet ou dehors (T)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Box (B)</source>
        <translation>Boîte (B)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Box on a slice (B): drag from corner to corner in any slice view, around the object or what is outside (T)</source>
        <translation>Boîte sur une coupe (B) : tracer d'un coin à l'autre dans une vue de coupe, autour de l'objet ou de ce qui est dehors (T)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>3D box (V)</source>
        <translation>Boîte 3D (V)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>3D box (V): drag from corner to corner; then adjust it in the views. The object is followed inside; with the sign outside (T), it is kept out of the box</source>
        <translation>Boîte 3D (V) : tracer d'un coin à l'autre, puis l'ajuster dans les vues. L'objet y est suivi ; avec le signe dehors (T), il est exclu de la boîte</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Lasso (L)</source>
        <translation>Lasso (L)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Lasso (L): draw an outline around the object with the button held down, or around what is outside (T)</source>
        <translation>Lasso (L) : entourer l'objet, bouton enfoncé, ou ce qui est dehors (T)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Sign: inside (T)</source>
        <translation>Signe : dedans (T)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Sign of the next prompts: inside the object, or outside it (T). A new segment starts with inside.</source>
        <translation>Signe des prochains repères : dans l'objet, ou dehors (T). Un nouveau segment commence par dedans.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Undo</source>
        <translation>Annuler</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Undo the last prompt or result (Ctrl+Z)</source>
        <translation>Annuler le dernier repère ou résultat (Ctrl+Z)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Redo</source>
        <translation>Rétablir</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Redo (Ctrl+Y)</source>
        <translation>Rétablir (Ctrl+Y)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Clear</source>
        <translation>Vider</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Remove all prompts of the chosen segment; its voxels stay</source>
        <translation>Supprimer tous les repères du segment choisi ; ses voxels restent</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Reset</source>
        <translation>Réinitialiser</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Reset the segment: remove its prompts and its voxels (Shift+Backspace)</source>
        <translation>Réinitialiser le segment : supprimer ses repères et ses voxels (Shift+Backspace)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>No prompt yet.</source>
        <translation>Pas encore de repère.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>The prompts of the chosen segment.</source>
        <translation>Les repères du segment choisi.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Remove prompt</source>
        <translation>Supprimer un repère</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Remove the chosen prompt of the list, or the last one (Backspace)</source>
        <translation>Supprimer le repère choisi dans la liste, ou le dernier (Backspace)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>show</source>
        <translation>afficher</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Show the prompts in the views (H). Hidden prompts are still sent.</source>
        <translation>Afficher les repères dans les vues (H). Les repères masqués sont envoyés aussi.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>The prompts of the chosen segment, the last one at the end. Backspace removes the chosen one, and the result is computed again.</source>
        <translation>Les repères du segment choisi, le dernier à la fin. Backspace supprime celui qui est choisi, et le résultat est recalculé.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Run (R)</source>
        <translation>Lancer (R)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Segment with the prompts of the chosen segment (R)</source>
        <translation>Segmenter avec les repères du segment choisi (R)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Follow (F)</source>
        <translation>Suivre (F)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Follow the object through all slices (always), or segment the slice of the prompts only, and what 3D boxes span (F)</source>
        <translation>Suivre l'objet à travers toutes les coupes (toujours), ou segmenter seulement la coupe des repères et ce que couvrent les boîtes 3D (F)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>live</source>
        <translation>en direct</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Run after each new, moved or deleted prompt. Otherwise only the button runs.</source>
        <translation>Lancer après chaque repère ajouté, déplacé ou supprimé. Sinon, seul le bouton lance.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Confirm slice (C)</source>
        <translation>Confirmer la coupe (C)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Confirm the slice in view: the segment is right there, or empty (C). No result changes it; C again takes it back.</source>
        <translation>Confirmer la coupe affichée : le segment y est juste, ou absent (C). Aucun résultat ne la modifie ; C à nouveau l'annule.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Complete (Shift+C)</source>
        <translation>Compléter (Shift+C)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Segment the rest from the confirmed slices, and from those that you drew or corrected by hand (Shift+C)</source>
        <translation>Segmenter le reste à partir des coupes confirmées, et de celles dessinées ou corrigées à la main (Shift+C)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Name of an object, such as spleen</source>
        <translation>Nom d'un objet, p. ex. spleen</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Find an object by its name, without a prompt: a category, another name of it, or a name that was taught on the server. Enter starts the search.</source>
        <translation>Trouver un objet par son nom, sans repère : une catégorie, un autre nom de celle-ci, ou un nom appris par le serveur. Entrée lance la recherche.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Find</source>
        <translation>Trouver</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Look for the object in the whole volume. It becomes a segment of its name; what is not found is said here.</source>
        <translation>Chercher l'objet dans tout le volume. Il devient un segment de son nom ; ce qui est introuvable est indiqué ici.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Follow through slices</source>
        <translation>Suivre à travers les coupes</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>When the object is followed through slices: inside 3D boxes, always, or never.</source>
        <translation>Quand l'objet est suivi à travers les coupes : dans les boîtes 3D, toujours, ou jamais.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Across axis</source>
        <translation>Perpendiculaire à</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Voxel axis across which the volume is sliced for the model; auto takes the view of the prompt, or else the planes in which the image was acquired.</source>
        <translation>Axe de voxels perpendiculairement auquel le volume est coupé pour le modèle ; en automatique, la vue du repère, ou sinon le plan d'acquisition de l'image.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Only slices</source>
        <translation>Coupes seulement</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Keep the result on these slices only.</source>
        <translation>Ne garder le résultat que sur ces coupes.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>First slice to keep.</source>
        <translation>Première coupe à garder.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>to</source>
        <translation>à</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Last slice to keep.</source>
        <translation>Dernière coupe à garder.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Other segments</source>
        <translation>Autres segments</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Where another segment already is: take its voxels (overwrite), leave them to it (keep others), or have both (allow overlap).</source>
        <translation>Là où se trouve déjà un autre segment : prendre ses voxels (remplacer), les lui laisser (garder les autres), ou avoir les deux (permettre le chevauchement).</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Result</source>
        <translation>Résultat</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Category of the object, certainty, and other categories on the slice.</source>
        <translation>Catégorie de l'objet, certitude, et autres catégories sur la coupe.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>The segment's colour.</source>
        <translation>Couleur du segment.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>No result yet</source>
        <translation>Pas encore de résultat</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Category from the model, or your own choice.</source>
        <translation>Catégorie donnée par le modèle, ou votre propre choix.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Your choice</source>
        <translation>Votre choix</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Your own choice of category for this segment: name, colour and code follow, and the model does not change it again.</source>
        <translation>Votre propre choix de catégorie pour ce segment : nom, couleur et code suivent, et le modèle ne la change plus.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Confidence</source>
        <translation>Confiance</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Probability that the category is right, calibrated on validation data.</source>
        <translation>Probabilité que la catégorie soit juste, calibrée sur des données de validation.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Agreement</source>
        <translation>Accord</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Agreement of both decoders on the mask (IoU). Check results with a low value first.</source>
        <translation>Accord des deux décodeurs sur le masque (IoU). Vérifiez d'abord les résultats de faible valeur.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Notes of the server about this result.</source>
        <translation>Remarques du serveur sur ce résultat.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Nearest names (click to choose one)</source>
        <translation>Noms les plus proches (cliquer pour choisir)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Also present in this slice</source>
        <translation>Aussi présent sur cette coupe</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Certainty, slice by slice</source>
        <translation>Certitude, coupe par coupe</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Agreement of the decoders per slice: green where they agree, red where they do not, grey where there is no result, blue where you confirmed.</source>
        <translation>Accord des décodeurs par coupe : vert s'ils s'accordent, rouge sinon, gris sans résultat, bleu si vous avez confirmé.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Go to a slice.</source>
        <translation>Aller à une coupe.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Worst</source>
        <translation>La pire</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Go to the slice where the decoders agree least (W)</source>
        <translation>Aller à la coupe où les décodeurs s'accordent le moins (W)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Slice in view, and its certainty.</source>
        <translation>Coupe affichée, et sa certitude.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Go to the slice on which the most is in doubt (W). Correct and confirm it, then complete again.</source>
        <translation>Aller à la coupe la plus douteuse (W). Corrigez-la et confirmez-la, puis complétez à nouveau.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Update 3D</source>
        <translation>Actualiser la 3D</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Compute the surfaces of the changed segments. This Slicer (before 5.10) stands still meanwhile, for seconds with a large organ; newer ones update them by themselves.</source>
        <translation>Calculer les surfaces des segments modifiés. Ce Slicer (avant 5.10) se fige pendant ce temps, plusieurs secondes pour un grand organe ; les plus récents les actualisent d'eux-mêmes.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Segment Editor</source>
        <translation>Éditeur de segments</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Correct by hand with Slicer's own effects.</source>
        <translation>Corriger à la main avec les effets de Slicer.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Label and learn</source>
        <translation>Annoter et apprendre</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Choose images, submit labels, train, and decide about the new version.</source>
        <translation>Choisir des images, soumettre des annotations, entraîner, et décider de la nouvelle version.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>How the next image is chosen: where the decoders agree least, what is unlike the labelled ones, a mix of both, at random, or in order.</source>
        <translation>Comment l'image suivante est choisie : là où les décodeurs s'accordent le moins, ce qui diffère des images annotées, un mélange des deux, au hasard, ou dans l'ordre.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Next image</source>
        <translation>Image suivante</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Load the image that the model can learn most from, and show why it was chosen. The current segmentation is not saved.</source>
        <translation>Charger l'image dont le modèle peut apprendre le plus, et montrer pourquoi elle a été choisie. La segmentation actuelle n'est pas enregistrée.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Why this image was chosen.</source>
        <translation>Pourquoi cette image a été choisie.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Submit label</source>
        <translation>Soumettre l'annotation</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Save the segmentation on the server as a new version of this image's label. Earlier ones are kept.</source>
        <translation>Enregistrer la segmentation sur le serveur comme nouvelle version de l'annotation de cette image. Les précédentes sont gardées.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Result of the last submission.</source>
        <translation>Résultat du dernier envoi.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Label that another user saved since you started. The server keeps both labels.</source>
        <translation>Annotation enregistrée par quelqu'un d'autre depuis que vous avez commencé. Le serveur garde les deux.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Show theirs</source>
        <translation>Afficher l'autre</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Load the other label beside yours, as a segmentation of its own.</source>
        <translation>Charger l'autre annotation à côté de la vôtre, comme segmentation séparée.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Make mine current</source>
        <translation>Retenir la mienne</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Your label becomes the current one; theirs stays as an earlier version.</source>
        <translation>Votre annotation devient l'actuelle ; l'autre reste comme version antérieure.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Epochs</source>
        <translation>Époques</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Passes over the labelled images.</source>
        <translation>Passages sur les images annotées.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Train</source>
        <translation>Entraîner</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Train the model on all submitted labels, on the server. You can go on segmenting.</source>
        <translation>Entraîner le modèle sur le serveur avec toutes les annotations soumises. Vous pouvez continuer à segmenter.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Stop</source>
        <translation>Arrêter</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Stop the training; the version in use does not change.</source>
        <translation>Arrêter l'entraînement ; la version utilisée ne change pas.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Loss and Dice of the running training, epoch by epoch.</source>
        <translation>Perte et Dice de l'entraînement en cours, époque par époque.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>No training yet.</source>
        <translation>Pas encore d'entraînement.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>State of the training.</source>
        <translation>État de l'entraînement.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Versions of the model: how many cases they learnt from, and the Dice on held-out cases before and after.</source>
        <translation>Versions du modèle : sur combien de cas elles ont appris, et le Dice sur des cas réservés, avant et après.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Cases</source>
        <translation>Cas</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Before</source>
        <translation>Avant</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>After</source>
        <translation>Après</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Why the chosen version was promoted or not.</source>
        <translation>Pourquoi la version choisie a été retenue ou non.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Use this version</source>
        <translation>Utiliser cette version</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Use the chosen version from now on: accept a new one, or go back to an old one. No version is deleted.</source>
        <translation>Utiliser désormais la version choisie : accepter une nouvelle, ou revenir à une ancienne. Aucune version n'est supprimée.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Not needed if you use a server on another computer.</source>
        <translation>Inutile si vous utilisez un serveur sur un autre ordinateur.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Not running.</source>
        <translation>À l'arrêt.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>State of the server that this module started.</source>
        <translation>État du serveur que ce module a démarré.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Start</source>
        <translation>Démarrer</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Start a SEG-SAM server on this computer (127.0.0.1) and connect to it. Offers to install it first when it is missing.</source>
        <translation>Démarrer un serveur SEG-SAM sur cet ordinateur (127.0.0.1) et s'y connecter. Propose d'abord de l'installer s'il manque.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Stop the server that this module started.</source>
        <translation>Arrêter le serveur que ce module a démarré.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Images</source>
        <translation>Images</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Folder of the images and labels that the server works on. Created when it is missing.</source>
        <translation>Dossier des images et annotations sur lesquelles le serveur travaille. Créé s'il manque.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Environment</source>
        <translation>Environnement</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Folder of the server's own Python environment. Slicer's Python is never touched.</source>
        <translation>Dossier de l'environnement Python propre au serveur. Le Python de Slicer n'est jamais touché.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Output of the installation or the server.</source>
        <translation>Sortie de l'installation ou du serveur.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Advanced</source>
        <translation>Avancé</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Rarely needed.</source>
        <translation>Rarement nécessaire.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Decoder</source>
        <translation>Décodeur</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>binary: the mask of the prompts; semantic: only what belongs to the category.</source>
        <translation>binaire : le masque des repères ; sémantique : seulement ce qui appartient à la catégorie.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>CT window</source>
        <translation>Fenêtre TDM</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Hounsfield window of a CT for the model; empty for the server's choice.</source>
        <translation>Fenêtre de Hounsfield d'un scanner pour le modèle ; vide pour le choix du serveur.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Your name</source>
        <translation>Votre nom</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>goes with submitted labels</source>
        <translation>joint aux annotations soumises</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Name that is sent with submitted labels. Stored on this computer; if empty, no name is sent.</source>
        <translation>Nom envoyé avec les annotations soumises. Enregistré sur cet ordinateur ; s'il est vide, aucun nom n'est envoyé.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Unsaved work</source>
        <translation>Travail non enregistré</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Keep unsaved work on the server</source>
        <translation>Garder sur le serveur</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Segments and prompts are sent to the server that has the image, some seconds after each change, and offered when the image is opened again after a crash. The server deletes them after a submission, or after some days. At first on for a server on this computer and off for others. Off also deletes what is there.</source>
        <translation>Les segments et les repères sont envoyés au serveur qui a l'image, quelques secondes après chaque changement, et proposés quand l'image est rouverte après un plantage. Le serveur les supprime après la soumission, ou après quelques jours. Au départ activé pour un serveur sur cet ordinateur et désactivé pour les autres. Désactiver supprime aussi ce qui s'y trouve.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Ask again before uploading</source>
        <translation>Redemander avant l'envoi</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Withdraw your consent to send images to this server.</source>
        <translation>Retirer votre accord pour l'envoi d'images à ce serveur.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Forget drafts</source>
        <translation>Oublier les brouillons</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Delete all unsaved work of yours from the server. What is in the scene stays.</source>
        <translation>Supprimer du serveur tout votre travail non enregistré. Ce qui est dans la scène reste.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Export</source>
        <translation>Export</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>NIfTI…</source>
        <translation>NIfTI…</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Save the segmentation as a NIfTI label map, by Slicer's own exporter.</source>
        <translation>Enregistrer la segmentation comme carte d'étiquettes NIfTI, avec l'export de Slicer.</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>DICOM SEG…</source>
        <translation>DICOM SEG…</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Export the segmentation with its coded categories, by Slicer's own DICOM export (needs the extension QuantitativeReporting).</source>
        <translation>Exporter la segmentation avec ses catégories codées, avec l'export DICOM de Slicer (demande l'extension QuantitativeReporting).</translation>
    </message>
</context>
<context>
    <name>SEGSAMLib.Errors</name>
    <message>
        <location filename="../../SEGSAMLib/Errors.py"/>
        <source>The image will be sent to {server}, which is another computer. Do you agree?</source>
        <translation>L'image sera envoyée à {server}, qui est un autre ordinateur. Êtes-vous d'accord ?</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Errors.py"/>
        <source>Nothing was sent.</source>
        <translation>Rien n'a été envoyé.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Errors.py"/>
        <source>The weights {weights} on {server} are not free for every use. Their licence:

{licence}

Is your use allowed by it? You are asked once for these weights on this server.</source>
        <translation>Les poids {weights} sur {server} ne sont pas libres pour tout usage. Leur licence :

{licence}

Permet-elle votre usage ? La question est posée une seule fois pour ces poids sur ce serveur.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Errors.py"/>
        <source>The licence of the weights was not accepted, so they were not used.</source>
        <translation>La licence des poids n'a pas été acceptée, ils n'ont donc pas été utilisés.</translation>
    </message>
</context>
<context>
    <name>SEGSAMLib.Widget</name>
    <message>
        <location filename="../../SEGSAMLib/Widget.py"/>
        <source>Cancelled; nothing was changed.</source>
        <translation>Annulé ; rien n'a été modifié.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Widget.py"/>
        <source>You will be asked before an image is sent to {server}.</source>
        <translation>La question sera posée avant l'envoi d'une image à {server}.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Widget.py"/>
        <source>Save as NIfTI</source>
        <translation>Enregistrer en NIfTI</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Widget.py"/>
        <source>Folder for the DICOM segmentation</source>
        <translation>Dossier pour la segmentation DICOM</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Widget.py"/>
        <source>Saved: {path}</source>
        <translation>Enregistré : {path}</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Widget.py"/>
        <source>{category}: {added} voxels more, {removed} fewer.</source>
        <translation>{category} : {added} voxels de plus, {removed} de moins.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Widget.py"/>
        <source>{added} voxels more, {removed} fewer.</source>
        <translation>{added} voxels de plus, {removed} de moins.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Widget.py"/>
        <source>{category}: nothing changed.</source>
        <translation>{category} : rien n'a changé.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Widget.py"/>
        <source>Nothing changed.</source>
        <translation>Rien n'a changé.</translation>
    </message>
</context>
<context>
    <name>SEGSAMLib.Workflow</name>
    <message>
        <location filename="../../SEGSAMLib/Workflow.py"/>
        <source>Another volume was chosen meanwhile; nothing was changed.</source>
        <translation>Un autre volume a été choisi entre-temps ; rien n'a été modifié.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Workflow.py"/>
        <source>The server has no such version of this label.</source>
        <translation>Le serveur n'a pas cette version de l'annotation.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Workflow.py"/>
        <source>{image} version {number} of {user}</source>
        <translation>{image} version {number} de {user}</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Workflow.py"/>
        <source>{image} version {number}</source>
        <translation>{image} version {number}</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Workflow.py"/>
        <source>Connect to a server first.</source>
        <translation>Connectez-vous d'abord à un serveur.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Workflow.py"/>
        <source>This volume has no label on the server yet.</source>
        <translation>Ce volume n'a pas encore d'annotation sur le serveur.</translation>
    </message>
</context>
<context>
    <name>Scene.DraftExchange</name>
    <message>
        <location filename="../../SEGSAMLib/Scene/DraftExchange.py"/>
        <source>Another segmentation was chosen; the unsaved work waits.</source>
        <translation>Une autre segmentation a été choisie ; le travail non enregistré attend.</translation>
    </message>
</context>
<context>
    <name>Scene.FileExchange</name>
    <message>
        <location filename="../../SEGSAMLib/Scene/FileExchange.py"/>
        <source>There is nothing to save yet: all segments are empty.</source>
        <translation>Il n'y a encore rien à enregistrer : tous les segments sont vides.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/FileExchange.py"/>
        <source>Expected a label of {expected} voxels like the volume, got {found}.</source>
        <translation>Une annotation de {expected} voxels comme le volume était attendue, {found} reçus.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/FileExchange.py"/>
        <source>Slicer could not export the segmentation. Is it empty?</source>
        <translation>Slicer n'a pas pu exporter la segmentation. Est-elle vide ?</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/FileExchange.py"/>
        <source>{path} cannot be written: {reason}.</source>
        <translation>{path} ne peut pas être écrit : {reason}.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/FileExchange.py"/>
        <source>A DICOM segmentation needs a volume that was loaded from DICOM; this one was not.</source>
        <translation>Une segmentation DICOM demande un volume chargé depuis DICOM ; celui-ci ne l'a pas été.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/FileExchange.py"/>
        <source>Slicer exports DICOM segmentations with its extension QuantitativeReporting: install it in the Extensions Manager.</source>
        <translation>Slicer exporte les segmentations DICOM avec son extension QuantitativeReporting : installez-la dans le gestionnaire d'extensions.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/FileExchange.py"/>
        <source>The images of the volume are no longer in Slicer's DICOM database.</source>
        <translation>Les images du volume ne sont plus dans la base de données DICOM de Slicer.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/FileExchange.py"/>
        <source>Slicer could not export the segmentation: {problem}</source>
        <translation>Slicer n'a pas pu exporter la segmentation : {problem}</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/FileExchange.py"/>
        <source>The file that the server sent cannot be read.</source>
        <translation>Le fichier envoyé par le serveur ne peut pas être lu.</translation>
    </message>
</context>
<context>
    <name>Scene.Frames</name>
    <message>
        <location filename="../../SEGSAMLib/Scene/Frames.py"/>
        <source>Choose a volume first.</source>
        <translation>Choisissez d'abord un volume.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/Frames.py"/>
        <source>{first} and {second} are under different transforms, and one is not linear. Put both under the same transform, or harden it.</source>
        <translation>{first} et {second} sont sous des transformations différentes, et l'une n'est pas linéaire. Placez les deux sous la même transformation, ou figez-la (Harden).</translation>
    </message>
</context>
<context>
    <name>Scene.Logic</name>
    <message>
        <location filename="../../SEGSAMLib/Scene/Logic.py"/>
        <source>reset of the segment</source>
        <translation>réinitialisation du segment</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/Logic.py"/>
        <source>confirmation of a slice</source>
        <translation>confirmation d'une coupe</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/Logic.py"/>
        <source>choice of a category</source>
        <translation>choix d'une catégorie</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/Logic.py"/>
        <source>The reply belongs to an earlier request; nothing was changed.</source>
        <translation>La réponse appartient à une requête antérieure ; rien n'a été modifié.</translation>
    </message>
</context>
<context>
    <name>Scene.SampleCT</name>
    <message>
        <location filename="../../SEGSAMLib/Scene/SampleCT.py"/>
        <source>The sample CT could not be downloaded: is this computer connected to the Internet? An image of your own will do, too.</source>
        <translation>Le scanner d'exemple n'a pas pu être téléchargé : cet ordinateur est-il connecté à Internet ? Une image à vous convient aussi.</translation>
    </message>
</context>
<context>
    <name>Scene.SceneNodes</name>
    <message>
        <location filename="../../SEGSAMLib/Scene/SceneNodes.py"/>
        <source>Choose a segment first.</source>
        <translation>Choisissez d'abord un segment.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/SceneNodes.py"/>
        <source>Choose a segmentation first.</source>
        <translation>Choisissez d'abord une segmentation.</translation>
    </message>
</context>
<context>
    <name>Scene.SegmentPrompts</name>
    <message>
        <location filename="../../SEGSAMLib/Scene/SegmentPrompts.py"/>
        <source>point</source>
        <translation>point</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/SegmentPrompts.py"/>
        <source>box</source>
        <translation>boîte</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/SegmentPrompts.py"/>
        <source>scribble</source>
        <translation>trait</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/SegmentPrompts.py"/>
        <source>lasso</source>
        <translation>lasso</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/SegmentPrompts.py"/>
        <source>removal of a prompt</source>
        <translation>suppression d'un repère</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/SegmentPrompts.py"/>
        <source>removal of all prompts</source>
        <translation>suppression de tous les repères</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/SegmentPrompts.py"/>
        <source>change of a prompt</source>
        <translation>modification d'un repère</translation>
    </message>
</context>
<context>
    <name>Scene.Segments</name>
    <message>
        <location filename="../../SEGSAMLib/Scene/Segments.py"/>
        <source>The segmentation was changed meanwhile.</source>
        <translation>La segmentation a été modifiée entre-temps.</translation>
    </message>
</context>
<context>
    <name>Scene.UndoHistory</name>
    <message>
        <location filename="../../SEGSAMLib/Scene/UndoHistory.py"/>
        <source>The segmentation has another voxel grid than at this step, so it cannot be undone.</source>
        <translation>La segmentation a une autre grille de voxels qu'à cette étape, qui ne peut donc pas être annulée.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/UndoHistory.py"/>
        <source>Another step was made meanwhile; nothing was changed.</source>
        <translation>Une autre étape a été faite entre-temps ; rien n'a été modifié.</translation>
    </message>
</context>
<context>
    <name>Server.Client</name>
    <message>
        <location filename="../../SEGSAMLib/Server/Client.py"/>
        <source>{url} is the MONAI Label app {name}, which does not have the SEG-SAM requests; start the SEG-SAM app there.</source>
        <translation>{url} est l'application MONAI Label {name}, qui n'a pas les requêtes de SEG-SAM ; démarrez-y l'application SEG-SAM.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Client.py"/>
        <source>without a name</source>
        <translation>sans nom</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Client.py"/>
        <source>Connected to {name} {version} at {url}: names {count} categories.</source>
        <translation>Connecté à {name} {version} sur {url} : nomme {count} catégories.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Client.py"/>
        <source>Connected to {name} {version} at {url}: names nothing.</source>
        <translation>Connecté à {name} {version} sur {url} : ne nomme rien.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Client.py"/>
        <source>The connection is not encrypted: use https for images of patients.</source>
        <translation>La connexion n'est pas chiffrée : utilisez https pour des images de patients.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Client.py"/>
        <source>Expected the id of an image, got {found}.</source>
        <translation>Un identifiant d'image était attendu, {found} reçu.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Client.py"/>
        <source>downloading {image}</source>
        <translation>téléchargement de {image}</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Client.py"/>
        <source>segmenting</source>
        <translation>segmentation</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Client.py"/>
        <source>learning from your slices: {done} of {total}</source>
        <translation>apprentissage de vos coupes : {done} sur {total}</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Client.py"/>
        <source>slice {done} of {total}</source>
        <translation>coupe {done} sur {total}</translation>
    </message>
</context>
<context>
    <name>Server.Http</name>
    <message>
        <location filename="../../SEGSAMLib/Server/Http.py"/>
        <source>Expected a token of ASCII characters without spaces.</source>
        <translation>Un jeton en caractères ASCII sans espaces était attendu.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Http.py"/>
        <source>{url} cannot be reached: {reason}.</source>
        <translation>{url} est inaccessible : {reason}.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Http.py"/>
        <source>Expected a reply of at most {limit} MB, and the server announces {size} MB.</source>
        <translation>Une réponse d'au plus {limit} Mo était attendue, et le serveur en annonce {size} Mo.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Http.py"/>
        <source>in an encoding that was not requested</source>
        <translation>dans un encodage non demandé</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Http.py"/>
        <source>endless</source>
        <translation>sans fin</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Http.py"/>
        <source>The server's reply was cut off; try again.</source>
        <translation>La réponse du serveur a été coupée ; réessayez.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Http.py"/>
        <source>The certificate file {path} cannot be read as PEM.</source>
        <translation>Le fichier de certificat {path} ne peut pas être lu comme PEM.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Http.py"/>
        <source>The server's certificate is not accepted: {reason}. If your hospital issued it, choose the hospital's certificate file (CA) in the section Server.</source>
        <translation>Le certificat du serveur n'est pas accepté : {reason}. Si votre hôpital l'a émis, choisissez son fichier de certificat (CA) dans la section « Serveur ».</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Http.py"/>
        <source>{url} does not speak TLS as it should; is it http:// instead of https://?</source>
        <translation>{url} ne parle pas TLS comme il faut ; est-ce http:// au lieu de https:// ?</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Http.py"/>
        <source>There is no computer named {host}.</source>
        <translation>Il n'y a pas d'ordinateur nommé {host}.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Http.py"/>
        <source>No server runs at {url}: start it, or check host and port.</source>
        <translation>Aucun serveur ne tourne sur {url} : démarrez-le, ou vérifiez l'hôte et le port.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Http.py"/>
        <source>{url} did not answer within {seconds} s: it is busy, or a firewall blocks the connection.</source>
        <translation>{url} n'a pas répondu en {seconds} s : il est occupé, ou un pare-feu bloque la connexion.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Http.py"/>
        <source>{url} closed the connection, or does not speak HTTP.</source>
        <translation>{url} a fermé la connexion, ou ne parle pas HTTP.</translation>
    </message>
</context>
<context>
    <name>Server.HttpReply</name>
    <message>
        <location filename="../../SEGSAMLib/Server/HttpReply.py"/>
        <source>no JSON object</source>
        <translation>pas un objet JSON</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/HttpReply.py"/>
        <source>The server redirects to {target}. If that is right, enter it as the address.</source>
        <translation>Le serveur redirige vers {target}. Si c'est correct, saisissez cette adresse.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/HttpReply.py"/>
        <source>The server requires a token, or another one than this.</source>
        <translation>Le serveur exige un jeton, ou un autre que celui-ci.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/HttpReply.py"/>
        <source>The server replied with status {status} and gave no reason.</source>
        <translation>Le serveur a répondu avec l'état {status} sans donner de raison.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/HttpReply.py"/>
        <source>The server did not understand the request; is it of another version?</source>
        <translation>Le serveur n'a pas compris la requête ; est-il d'une autre version ?</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/HttpReply.py"/>
        <source>The server does not allow this.</source>
        <translation>Le serveur ne le permet pas.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/HttpReply.py"/>
        <source>The server does not have this. Is it a SEG-SAM server, and is the address right?</source>
        <translation>Le serveur n'a pas cela. Est-ce un serveur SEG-SAM, et l'adresse est-elle correcte ?</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/HttpReply.py"/>
        <source>The server does not accept uploads of this size.</source>
        <translation>Le serveur n'accepte pas les envois de cette taille.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/HttpReply.py"/>
        <source>The proxy in front of the server gets no reply from it.</source>
        <translation>Le mandataire devant le serveur n'en reçoit pas de réponse.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/HttpReply.py"/>
        <source>The server is busy; try again in a moment.</source>
        <translation>Le serveur est occupé ; réessayez dans un instant.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/HttpReply.py"/>
        <source>The proxy in front of the server waited too long for it.</source>
        <translation>Le mandataire devant le serveur l'a attendu trop longtemps.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/HttpReply.py"/>
        <source>a web page</source>
        <translation>une page web</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/HttpReply.py"/>
        <source>no JSON</source>
        <translation>pas du JSON</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/HttpReply.py"/>
        <source>The reply is {kind}: this is not a SEG-SAM server, or one of another version.</source>
        <translation>Réponse inattendue ({kind}) : ce n'est pas un serveur SEG-SAM, ou il est d'une autre version.</translation>
    </message>
</context>
<context>
    <name>Server.Install</name>
    <message>
        <location filename="../../SEGSAMLib/Server/Install.py"/>
        <source>The server needs Python 3.10, 3.11 or 3.12 of its own, and none was found on this computer. Install one from python.org (Windows, macOS) or with your package manager (Linux: python3 with python3-venv), and try again.</source>
        <translation>Le serveur a besoin de son propre Python 3.10, 3.11 ou 3.12, et aucun n'a été trouvé sur cet ordinateur. Installez-en un depuis python.org (Windows, macOS) ou avec votre gestionnaire de paquets (Linux : python3 avec python3-venv), puis réessayez.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Install.py"/>
        <source>There is no server in {folder}: install it first.</source>
        <translation>Il n'y a pas de serveur dans {folder} : installez-le d'abord.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Install.py"/>
        <source>No port of 127.0.0.1 is free.</source>
        <translation>Aucun port de 127.0.0.1 n'est libre.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Install.py"/>
        <source>The server needs {needed} GB in {folder}, which has {free} GB left: free some space, or choose another folder.</source>
        <translation>Le serveur a besoin de {needed} Go dans {folder}, où il reste {free} Go : libérez de la place, ou choisissez un autre dossier.</translation>
    </message>
</context>
<context>
    <name>Server.Process</name>
    <message>
        <location filename="../../SEGSAMLib/Server/Process.py"/>
        <source>{program} could not be started: {error}.</source>
        <translation>{program} n'a pas pu être démarré : {error}.</translation>
    </message>
</context>
<context>
    <name>Server.ReplyReaders</name>
    <message>
        <location filename="../../SEGSAMLib/Server/ReplyReaders.py"/>
        <source>belongs to another request</source>
        <translation>appartient à une autre requête</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/ReplyReaders.py"/>
        <source>No image without a label can be opened.</source>
        <translation>Aucune image sans annotation ne peut être ouverte.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/ReplyReaders.py"/>
        <source>{count} image(s) cannot be opened: {names} and others.</source>
        <translation>Images impossibles à ouvrir : {count} ({names} et d'autres).</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/ReplyReaders.py"/>
        <source>{count} image(s) cannot be opened: {names}.</source>
        <translation>Images impossibles à ouvrir : {count} ({names}).</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/ReplyReaders.py"/>
        <source>does not contain the version under which the label was saved</source>
        <translation>ne contient pas la version sous laquelle l'annotation a été enregistrée</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/ReplyReaders.py"/>
        <source>does not contain the state of the training</source>
        <translation>ne contient pas l'état de l'entraînement</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/ReplyReaders.py"/>
        <source>contains no version of the model</source>
        <translation>ne contient aucune version du modèle</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/ReplyReaders.py"/>
        <source>contains a mask whose encoding is not {encoding}</source>
        <translation>contient un masque dont l'encodage n'est pas {encoding}</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/ReplyReaders.py"/>
        <source>is for a volume of {other} voxels, and this one has {own}</source>
        <translation>est pour un volume de {other} voxels, et celui-ci en a {own}</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/ReplyReaders.py"/>
        <source>contains a mask from {low} to {high}, which is not in the volume</source>
        <translation>contient un masque de {low} à {high}, qui n'est pas dans le volume</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/ReplyReaders.py"/>
        <source>contains a mask that cannot be unpacked</source>
        <translation>contient un masque qui ne peut pas être décompressé</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/ReplyReaders.py"/>
        <source>contains {found} where a voxel was expected</source>
        <translation>contient {found} là où un voxel était attendu</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/ReplyReaders.py"/>
        <source>The server's reply {problem}; nothing was changed.</source>
        <translation>La réponse du serveur {problem} ; rien n'a été modifié.</translation>
    </message>
</context>
<context>
    <name>Server.Transport</name>
    <message>
        <location filename="../../SEGSAMLib/Server/Transport.py"/>
        <source>sending {done} of {total} MB</source>
        <translation>envoi : {done} Mo sur {total}</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Transport.py"/>
        <source>The server sent a file of a type that cannot be opened.</source>
        <translation>Le serveur a envoyé un fichier d'un type qui ne peut pas être ouvert.</translation>
    </message>
</context>
<context>
    <name>Server.Uploads</name>
    <message>
        <location filename="../../SEGSAMLib/Server/Uploads.py"/>
        <source>reading the image</source>
        <translation>lecture de l'image</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Uploads.py"/>
        <source>preparing the image</source>
        <translation>préparation de l'image</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Uploads.py"/>
        <source>Expected the id of a session, got {found}.</source>
        <translation>Un identifiant de session était attendu, {found} reçu.</translation>
    </message>
</context>
<context>
    <name>Server.Worker</name>
    <message>
        <location filename="../../SEGSAMLib/Server/Worker.py"/>
        <source>Cancelled; nothing was changed.</source>
        <translation>Annulé ; rien n'a été modifié.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Worker.py"/>
        <source>This is a bug of the SEG-SAM module; the Python console has the details.</source>
        <translation>C'est un défaut du module SEG-SAM ; la console Python donne les détails.</translation>
    </message>
</context>
<context>
    <name>Values.Address</name>
    <message>
        <location filename="../../SEGSAMLib/Values/Address.py"/>
        <source>Type the server's address, such as {local} or {remote}.</source>
        <translation>Saisissez l'adresse du serveur, comme {local} ou {remote}.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Address.py"/>
        <source>Expected an address of scheme, host, port and path only. Enter a token in its own field.</source>
        <translation>Une adresse formée seulement du schéma, de l'hôte, du port et du chemin était attendue. Un jeton se saisit dans son propre champ.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Address.py"/>
        <source>Expected an address such as {local} or {remote}, got {typed}.</source>
        <translation>Une adresse comme {local} ou {remote} était attendue, {typed} reçu.</translation>
    </message>
</context>
<context>
    <name>Values.Completions</name>
    <message>
        <location filename="../../SEGSAMLib/Values/Completions.py"/>
        <source>Confirm a slice of the segment first (C): outline the object on it, or correct what the model drew.</source>
        <translation>Confirmez d'abord une coupe du segment (C) : contourez-y l'objet, ou corrigez ce que le modèle a dessiné.</translation>
    </message>
</context>
<context>
    <name>Values.Draft</name>
    <message>
        <location filename="../../SEGSAMLib/Values/Draft.py"/>
        <source>This unsaved work is not kept on the server: it has {size} MB, and at most {most} MB are kept. Save the scene, or submit the label.</source>
        <translation>Ce travail non enregistré n'est pas gardé sur le serveur : il a {size} Mo, et au plus {most} Mo sont gardés. Enregistrez la scène, ou soumettez l'annotation.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Draft.py"/>
        <source>The unsaved work on the server has the format {found}, and this module reads format {format}. A newer version of it may read it.</source>
        <translation>Le travail non enregistré sur le serveur a le format {found}, et ce module lit le format {format}. Une version plus récente peut peut-être le lire.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Draft.py"/>
        <source>The unsaved work on the server lies on another voxel grid.</source>
        <translation>Le travail non enregistré sur le serveur se trouve sur une autre grille de voxels.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Draft.py"/>
        <source>The unsaved work on the server cannot be read.</source>
        <translation>Le travail non enregistré sur le serveur ne peut pas être lu.</translation>
    </message>
</context>
<context>
    <name>Values.Geometry</name>
    <message>
        <location filename="../../SEGSAMLib/Values/Geometry.py"/>
        <source>The volume has no usable geometry: its voxels have no size.</source>
        <translation>Le volume n'a pas de géométrie utilisable : ses voxels n'ont pas de taille.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Geometry.py"/>
        <source>The point lies outside the volume: voxel {axis} = {index}, and the volume has 0 to {last}.</source>
        <translation>Le point est hors du volume : voxel {axis} = {index}, et le volume va de 0 à {last}.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Geometry.py"/>
        <source>sagittal</source>
        <translation>sagittale</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Geometry.py"/>
        <source>coronal</source>
        <translation>coronale</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Geometry.py"/>
        <source>axial</source>
        <translation>axiale</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Geometry.py"/>
        <source>The box has no area: drag from one corner to the opposite one.</source>
        <translation>La boîte n'a pas de surface : tracez d'un coin au coin opposé.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Geometry.py"/>
        <source>The scribble has no points.</source>
        <translation>Le trait n'a pas de points.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Geometry.py"/>
        <source>The scribble lies outside the volume.</source>
        <translation>Le trait est hors du volume.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Geometry.py"/>
        <source>The box lies outside the volume: voxels {low} to {high} along {axis}, and the volume has 0 to {last}.</source>
        <translation>La boîte est hors du volume : voxels {low} à {high} le long de {axis}, et le volume va de 0 à {last}.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Geometry.py"/>
        <source>The box is only one voxel wide along {axis} inside the volume: draw a larger one.</source>
        <translation>Dans le volume, la boîte n'a qu'un voxel de large le long de {axis} : tracez-en une plus grande.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Geometry.py"/>
        <source>The box reached outside the volume and was clipped to it.</source>
        <translation>La boîte dépassait du volume et a été rognée.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Geometry.py"/>
        <source>Expected points with three finite coordinates, got {points}.</source>
        <translation>Des points à trois coordonnées finies étaient attendus, {points} reçu.</translation>
    </message>
</context>
<context>
    <name>Values.ImageFiles</name>
    <message>
        <location filename="../../SEGSAMLib/Values/ImageFiles.py"/>
        <source>Expected a volume of numbers, got voxels of the type {type}, which cannot be sent.</source>
        <translation>Un volume de nombres était attendu, mais des voxels du type {type}, qui ne peuvent pas être envoyés, ont été reçus.</translation>
    </message>
</context>
<context>
    <name>Values.Layers</name>
    <message>
        <location filename="../../SEGSAMLib/Values/Layers.py"/>
        <source>The segment was removed.</source>
        <translation>Le segment a été supprimé.</translation>
    </message>
</context>
<context>
    <name>Values.Outlines</name>
    <message>
        <location filename="../../SEGSAMLib/Values/Outlines.py"/>
        <source>The outline lies outside the volume.</source>
        <translation>Le contour est hors du volume.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Outlines.py"/>
        <source>The outline has no area inside the volume: draw around the object.</source>
        <translation>Le contour n'a pas de surface dans le volume : entourez l'objet.</translation>
    </message>
</context>
<context>
    <name>Values.Prompts</name>
    <message>
        <location filename="../../SEGSAMLib/Values/Prompts.py"/>
        <source>Mark the object first: a box or lasso around it, or a point or scribble inside it.</source>
        <translation>Marquez d'abord l'objet : une boîte ou un lasso autour, ou un point ou un trait dedans.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Prompts.py"/>
        <source>The prompts in this scene have the format {found}, and this module reads formats 1 and {newest}. A newer version of it may read them.</source>
        <translation>Les repères de cette scène ont le format {found}, et ce module lit les formats 1 et {newest}. Une version plus récente peut les lire.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Prompts.py"/>
        <source>The prompts in this scene cannot be read: {text}.</source>
        <translation>Les repères de cette scène ne peuvent pas être lus : {text}.</translation>
    </message>
</context>
<context>
    <name>Values.Results</name>
    <message>
        <location filename="../../SEGSAMLib/Values/Results.py"/>
        <source>The segment was removed before the result came; nothing was changed.</source>
        <translation>Le segment a été supprimé avant l'arrivée du résultat ; rien n'a été modifié.</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Results.py"/>
        <source>completion</source>
        <translation>complément</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Results.py"/>
        <source>result</source>
        <translation>résultat</translation>
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
