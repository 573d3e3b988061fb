"""qd on Kubernetes: deploying it, looking at it, reaching it from here, and removing it.

Pure modules decide (`plan`, `observing`, `explaining`, `secrets`, `certificates`, `reaching`), from
what kubectl prints to what is to be done and said; `kubectl` runs it, and the shells (`deploying`,
`waiting`, `removing`, `tunnel`) do what was decided. The cluster is reached through kubectl alone.
"""
