"""Models that advise on turns: the contract, the executor, the shipped experts. Knows nothing of Kafka, of learning
or of the environment.
"""
