"""Fluvio for this system"""
