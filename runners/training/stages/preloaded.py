"""What every block needs, imported, and kept from the garbage collector. For small models on a CPU.

The imports, transformers' Trainer above all, take some 7 seconds of a processor; a process that is forked from one that
has done them starts at once. (With CUDA no process may be forked after it was looked for, and these imports look for
it.) They leave so many objects that a collection, of which Accelerate asks for one after every block, takes as long as
a small block itself; frozen, they are passed over. While they are imported, an eighth of the time would go into looking
for garbage that there is not. vLLM, which starts threads, is not imported here.
"""

import gc

_collecting = gc.isenabled()
gc.disable()
try:
    import datasets as datasets
    import peft as peft
    from transformers import Trainer as Trainer
finally:
    if _collecting:
        gc.enable()

gc.collect()
gc.freeze()
