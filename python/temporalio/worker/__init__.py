"""Workers: what runs workflows and activities.

A :class:`Worker` polls one task queue of a client's namespace; a :class:`Replayer` runs workflow code against histories.
"""
