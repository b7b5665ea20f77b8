"""The ground the rest stands on: settings, ids, money, time, connections."""
