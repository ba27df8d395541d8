"""Start of a task's process: imported first, it ends the process with its server while the rest is
imported.
"""

from __future__ import annotations

from segsam_app.training.server_watch import end_while_starting

end_while_starting()
