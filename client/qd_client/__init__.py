"""What users import"""
