"""The symbol master"""
