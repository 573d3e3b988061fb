"""The gateway service"""
