-- Licence and gating of the repository when the commit was published; NULL: unknown.
ALTER TABLE models ADD COLUMN published_licence TEXT;
ALTER TABLE models ADD COLUMN published_gating TEXT;
