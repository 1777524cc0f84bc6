//! `/v2/auth`: users, roles, enabling, and what they let whom do.

use quorate_harness::Request;
use quorate_interop_tests::{client, compare, script};

/// Each line answered alike, body and headers, and the store index moved alike.
#[test]
fn users() {
    compare(|pair| {
        script::run(
            pair,
            r#"
            200 GET    /v2/auth/users
            200 GET    /v2/auth/enable
            400 PUT    /v2/auth/users/b {"user":"b"}
            200 GET    ~/
            201 PUT    /v2/auth/users/a {"user":"a","password":"pw"}
            200 GET    ~/
            200 PUT    /v2/auth/users/a {"user":"a","password":"pw2"}
            200 GET    ~/
            200 PUT    /v2/auth/users/b {"user":"b","password":"x","roles":["q","p","p"]}
            409 PUT    /v2/auth/users/b {"user":"b","password":"x","roles":["q"]}
            409 PUT    /v2/auth/users/b {"user":"b","roles":["q"],"password":"x"}
            400 PUT    /v2/auth/users/b {"user":"b","roles":["q"]}
            404 GET    /v2/auth/users/b
            200 GET    /v2/auth/users
            200 PUT    /v2/auth/users/b {"user":"b"}
            400 PUT    /v2/auth/users/b {"user":"b"}
            409 PUT    /v2/auth/users/b {"user":"b","grant":["q"]}
            409 PUT    /v2/auth/users/b {"user":"b","revoke":["zz"]}
            400 PUT    /v2/auth/users/b {"user":"b","revoke":["q"],"roles":["x"]}
            404 PUT    /v2/auth/users/nn {"user":"nn","grant":["q"]}
            200 PUT    /v2/auth/users/b {"user":"b","grant":["y"],"revoke":["q"],"password":"new"}
            400 PUT    /v2/auth/users/b {"user":"c"}
            400 PUT    /v2/auth/users/b nonsense
            400 PUT    /v2/auth/users/b {"user":7}
            400 PUT    /v2/auth/users/b {"user":"b","roles":"q"}
            400 PUT    /v2/auth/users/b
            201 PUT    /v2/auth/users/e {"USER":"e","Password":"x","roles":[]}{"trailing":1}
            201 PUT    /v2/auth/users/%3Ch%3E {"user":"<h>","password":"x","unknown":1}
            200 GET    /v2/auth/users/%3Ch%3E
            200 GET    /v2/auth/users/e
            200 GET    /v2/auth/users/
            404 GET    /v2/auth/users/nobody
            200 DELETE /v2/auth/users/e
            404 DELETE /v2/auth/users/e
            400 GET    /v2/auth/users/a/b
            405 POST   /v2/auth/users
            405 POST   /v2/auth/users/x
            405 PATCH  /v2/auth/users/x
            404 GET    /v2/auth
            404 GET    /v2/auth/
            404 GET    /v2/auth/other
            200 GET    ~/
            "#,
        );
    });
}

#[test]
fn roles() {
    compare(|pair| {
        script::run(
            pair,
            r#"
            200 GET    /v2/auth/roles
            200 GET    /v2/auth/roles/root
            201 PUT    /v2/auth/roles/z {"role":"z"}
            200 GET    /v2/auth/roles/z
            201 PUT    /v2/auth/roles/y {"role":"y","permissions":{"kv":{"read":["/b","/a","/a"],"write":null}}}
            409 PUT    /v2/auth/roles/y {"role":"y","permissions":{"kv":{"read":["/b"]}}}
            200 GET    /v2/auth/roles/y
            200 PUT    /v2/auth/roles/y {"role":"y","grant":{"kv":{"read":["/c"]}}}
            409 PUT    /v2/auth/roles/y {"role":"y","grant":{"kv":{"read":["/c"]}}}
            409 PUT    /v2/auth/roles/y {"role":"y","grant":{"kv":{"write":["/c","/c"]}}}
            400 PUT    /v2/auth/roles/y {"role":"y","revoke":{"kv":{"read":["/never"]}}}
            200 PUT    /v2/auth/roles/y {"role":"y","revoke":{"kv":{"read":["/a","/never"]}},"grant":{"kv":{"write":["/w*"]}}}
            400 PUT    /v2/auth/roles/y {"role":"y","permissions":{"kv":{"read":["/b"]}},"grant":{"kv":{"read":["/q"]}}}
            404 PUT    /v2/auth/roles/nope {"role":"nope","grant":{"kv":{"read":["/c"]}}}
            403 PUT    /v2/auth/roles/root {"role":"root","grant":{"kv":{"read":["/c"]}}}
            403 PUT    /v2/auth/roles/root {"role":"root"}
            400 PUT    /v2/auth/roles/y {"role":"x"}
            400 PUT    /v2/auth/roles/y []
            400 PUT    /v2/auth/roles/y
            404 GET    /v2/auth/roles/nope
            404 DELETE /v2/auth/roles/nope
            403 DELETE /v2/auth/roles/root
            200 DELETE /v2/auth/roles/z
            200 GET    /v2/auth/roles/
            301 GET    /v2/auth/roles//y
            405 POST   /v2/auth/roles
            400 GET    /v2/auth/roles/y/z
            200 GET    ~/
            "#,
        );
    });
}

#[test]
fn access() {
    compare(|pair| {
        script::run(
            pair,
            r#"
            201 PUT    ~/d/x value=1
            409 PUT    /v2/auth/enable
            409 DELETE /v2/auth/enable
            201 PUT    /v2/auth/users/root {"user":"root","password":"rp"}
            201 PUT    /v2/auth/roles/app {"role":"app","permissions":{"kv":{"read":["/app/*","/one"],"write":["/app/own*"]}}}
            200 PUT    /v2/auth/users/alice {"user":"alice","password":"pw","roles":["app","gone"]}
            200 PUT    /v2/auth/enable
            200 GET    /v2/auth/enable
            200 GET    ~/
            401 GET    ~
            201 PUT    ~/guest value=1
            401 PUT    /v2/auth/enable
            401 DELETE /v2/auth/enable
            409 PUT    root:rp@/v2/auth/enable
            401 GET    /v2/auth/users
            401 GET    alice:pw@/v2/auth/users/alice
            200 GET    root:rp@/v2/auth/users
            200 GET    root:rp@/v2/auth/roles/guest
            405 POST   /v2/auth/users
            400 GET    root:rp@/v2/auth/users/a/b
            401 PUT    alice:pw@~/one value=1
            404 GET    alice:pw@~/one
            401 GET    alice:pw@~/app
            404 GET    alice:pw@~/app/
            201 POST   root:rp@~/app/ value=1
            200 GET    alice:pw@~/app/?recursive=true
            401 GET    alice:pw@~/one/
            201 PUT    alice:pw@~/app/own value=1
            200 PUT    alice:pw@~/app/own?prevValue=1 value=2
            412 PUT    alice:pw@~/app/own?prevValue=1 value=2
            401 PUT    alice:pw@~/app/other value=1
            200 GET    alice:pw@~/app/own
            401 GET    alice:wrong@~/app/own
            401 GET    nobody:pw@~/app/own
            401 GET    alice:pw@~/
            401 GET    alice:pw@~/one?recursive=true
            404 GET    alice:pw@~/app/zz?recursive=true
            200 GET    root:rp@~/?recursive=true
            400 PUT    alice:wrong@~/app/own ttl=x
            405 PATCH  alice:wrong@~/app/own
            200 DELETE root:rp@/v2/auth/roles/guest
            401 GET    ~/
            401 GET    ~/guest?wait=true
            401 HEAD   ~/guest
            200 GET    /v2/members
            401 POST   /v2/members {}
            401 DELETE /v2/members/1
            401 POST   alice:pw@/v2/members {}
            404 DELETE root:rp@/v2/members/1
            405 PATCH  /v2/members
            200 GET    /v2/machines
            201 PUT    root:rp@/v2/auth/roles/guest {"role":"guest","permissions":{"kv":{"read":["/guest","/d"],"write":[]}}}
            200 GET    ~/guest
            401 PUT    ~/guest value=2
            200 GET    ~/d
            401 GET    ~/d/x
            200 PUT    root:rp@/v2/auth/users/root {"user":"root","revoke":["root"],"grant":["app"]}
            200 GET    root:rp@/v2/auth/users/root
            403 DELETE root:rp@/v2/auth/users/root
            200 PUT    root:rp@/v2/auth/users/alice {"user":"alice","password":"new"}
            401 GET    alice:pw@~/app/own
            200 GET    alice:new@~/app/own
            200 DELETE root:rp@/v2/auth/enable
            200 DELETE /v2/auth/users/root
            409 PUT    /v2/auth/enable
            200 GET    ~/d/x
            "#,
        );
        for authorization in ["Bearer x", "Basic", "Basic zz!", ""] {
            let request = Request::get("/v2/keys/d").header("Authorization", authorization);
            pair.send(&request);
        }
    });
}

#[test]
fn etcdctl_manages_users_and_roles() {
    compare(|pair| {
        for arguments in [
            "user add root:rp",
            "role add app",
            "role grant app --path /app/* --readwrite",
            "user add alice:pw",
            "user grant alice --roles app",
            "user list",
            "user get alice",
            "role list",
            "role get app",
            "auth enable",
            "-u alice:pw set /app/x 1",
            "-u alice:pw get /app/x",
            "-u alice:pw set /other 1",
            "-u root:rp role revoke guest --path /* --readwrite",
            "get /app/x",
            "-u root:rp user revoke alice --roles app",
            "-u alice:pw get /app/x",
            "-u root:rp user remove alice",
            "-u root:rp role remove app",
            "-u root:rp auth disable",
            "get /app/x",
        ] {
            pair.ask(arguments, |side| client::run(side, arguments));
        }
    });
}
