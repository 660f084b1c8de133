"""atom-plugin-python: an engine plugin of atom-router whose atoms are child processes."""

import atomplugin
import children

atomplugin.serve(children.describe(), children.Engine)
