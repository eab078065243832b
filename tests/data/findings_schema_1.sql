CREATE TABLE explorer_schema (number INTEGER NOT NULL);
CREATE TABLE findings (
            id TEXT PRIMARY KEY, version INTEGER NOT NULL, created TEXT NOT NULL,
            changed TEXT NOT NULL, deleted TEXT, bundle_name TEXT NOT NULL,
            bundle_digest TEXT NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL,
            title TEXT NOT NULL, note TEXT NOT NULL, author TEXT NOT NULL,
            searched TEXT NOT NULL);
CREATE TABLE finding_tags (
            finding TEXT NOT NULL REFERENCES findings (id) ON DELETE CASCADE,
            tag TEXT NOT NULL, PRIMARY KEY (finding, tag));
CREATE TABLE finding_neurons (
            finding TEXT NOT NULL REFERENCES findings (id) ON DELETE CASCADE,
            layer INTEGER NOT NULL, neuron INTEGER NOT NULL,
            PRIMARY KEY (finding, layer, neuron));
CREATE TABLE collections (
            id TEXT PRIMARY KEY, version INTEGER NOT NULL, created TEXT NOT NULL,
            changed TEXT NOT NULL, deleted TEXT, title TEXT NOT NULL, note TEXT NOT NULL,
            author TEXT NOT NULL);
CREATE TABLE collection_findings (
            collection TEXT NOT NULL REFERENCES collections (id) ON DELETE CASCADE,
            finding TEXT NOT NULL REFERENCES findings (id) ON DELETE CASCADE,
            place INTEGER NOT NULL, PRIMARY KEY (collection, finding));
INSERT INTO "explorer_schema" VALUES(1);
INSERT INTO "findings" VALUES('aaaaaaaaaaaaaaaa',2,'2026-11-25T02:43:13.767+00:00','2026-11-25T02:43:13.803+00:00',NULL,'tiny','abababababababababababababababababababababababababababababababab','neurons','{"neurons": [[1, 5], [0, 7]], "settings": {"pictures": "grouped"}}','Ships and cars','Second
version','Ada','ships and cars
second
version
cars ships
ada');
INSERT INTO "findings" VALUES('bbbbbbbbbbbbbbbb',1,'2026-11-25T02:43:13.775+00:00','2026-11-25T02:43:13.775+00:00',NULL,'tiny','abababababababababababababababababababababababababababababababab','image','{"image": 3, "settings": {"head": 2}, "texts": ["red circle"]}','A picture “it''s” 🚢','','','a picture “it''s” 🚢


');
INSERT INTO "findings" VALUES('cccccccccccccccc',2,'2026-11-25T02:43:13.779+00:00','2026-11-25T02:43:13.815+00:00','2026-11-25T02:43:13.815+00:00','tiny','abababababababababababababababababababababababababababababababab','neurons','{"neurons": [[1, 5], [0, 7]], "settings": {"pictures": "grouped"}}','Deleted','Both **move**.

- ships
- cars','Ada','deleted
both **move**.

- ships
- cars
gone
ada');
INSERT INTO "finding_tags" VALUES('cccccccccccccccc','gone');
INSERT INTO "finding_tags" VALUES('aaaaaaaaaaaaaaaa','cars');
INSERT INTO "finding_tags" VALUES('aaaaaaaaaaaaaaaa','ships');
INSERT INTO "finding_neurons" VALUES('cccccccccccccccc',1,5);
INSERT INTO "finding_neurons" VALUES('cccccccccccccccc',0,7);
INSERT INTO "finding_neurons" VALUES('aaaaaaaaaaaaaaaa',1,5);
INSERT INTO "finding_neurons" VALUES('aaaaaaaaaaaaaaaa',0,7);
INSERT INTO "collections" VALUES('dddddddddddddddd',1,'2026-11-25T02:43:13.787+00:00','2026-11-25T02:43:13.787+00:00',NULL,'Both','why *so*','Ada');
INSERT INTO "collections" VALUES('eeeeeeeeeeeeeeee',2,'2026-11-25T02:43:13.799+00:00','2026-11-25T02:43:13.823+00:00','2026-11-25T02:43:13.823+00:00','Old','','');
INSERT INTO "collection_findings" VALUES('dddddddddddddddd','bbbbbbbbbbbbbbbb',0);
INSERT INTO "collection_findings" VALUES('dddddddddddddddd','aaaaaaaaaaaaaaaa',1);
INSERT INTO "collection_findings" VALUES('dddddddddddddddd','cccccccccccccccc',2);
CREATE INDEX findings_by_change ON findings (changed);
CREATE INDEX findings_by_bundle ON findings (bundle_digest);
CREATE INDEX finding_tags_by_tag ON finding_tags (tag);
CREATE INDEX finding_neurons_by_place ON finding_neurons (layer, neuron);
