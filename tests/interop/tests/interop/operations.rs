//! What each operation does to files, directories and the root.

use quorate_harness::Request;
use quorate_interop_tests::{compare, script};

#[test]
fn set() {
    compare(|pair| {
        script::run(
            pair,
            "
            201     PUT ~/a value=1
            200     PUT ~/a value=2
            200     PUT ~/a
            200     GET ~/a
            201     PUT ~/deep/er/key value=1
            200     GET ~/deep
            200     GET ~/deep?recursive=true
            400/104 PUT ~/a/below value=1
            400/104 PUT ~/a/far/below value=1
            403/102 PUT ~/deep value=1
            403/102 PUT ~/deep dir=true
            200     PUT ~/a dir=true
            200     GET ~/a
            201     PUT ~/newdir dir=true
            201     PUT ~/valued dir=true&value=ignored
            200     GET ~/valued
            200     GET ~/?recursive=true&sorted=true
            ",
        );
    });
}

#[test]
fn create() {
    compare(|pair| {
        script::run(
            pair,
            "
            201     PUT ~/c?prevExist=false value=1
            412/105 PUT ~/c?prevExist=false value=2
            201     PUT ~/d?prevExist=false dir=true
            412/105 PUT ~/d?prevExist=false dir=true
            412/105 PUT ~/d?prevExist=false value=1
            400/104 PUT ~/c/x?prevExist=false value=1
            400/104 PUT ~/c/x/y?prevExist=false value=1
            201     PUT ~/new?prevExist=false&prevValue=zzz&prevIndex=99 value=1
            201     PUT ~/p/q/r?prevExist=false value=1
            200     GET ~/?recursive=true&sorted=true
            ",
        );
    });
}

#[test]
fn update() {
    compare(|pair| {
        script::run(
            pair,
            "
            404/100 PUT ~/u?prevExist=true value=1
            404/100 PUT ~/missing/deep/x?prevExist=true value=1
            201     PUT ~/u value=1
            200     PUT ~/u?prevExist=true value=2
            200     PUT ~/u?prevExist=true
            200     GET ~/u
            200     PUT ~/u?prevExist=true dir=true
            200     GET ~/u
            201     PUT ~/d dir=true
            403/102 PUT ~/d?prevExist=true value=1
            200     PUT ~/d?prevExist=true ttl=500
            200     GET ~/d
            200     PUT ~/d?prevExist=true dir=true
            200     GET ~/d
            200     PUT ~/d?prevExist=true value=
            200     GET ~/?sorted=true
            400/104 PUT ~/u/x?prevExist=true value=1
            ",
        );
    });
}

#[test]
fn compare_and_swap() {
    compare(|pair| {
        script::run(
            pair,
            "
            404/100 PUT ~/s?prevValue=1 value=2
            404/100 PUT ~/s?prevIndex=1 value=2
            201     PUT ~/s value=1
            200     PUT ~/s?prevValue=1 value=2
            412/101 PUT ~/s?prevValue=1 value=3
            200     PUT ~/s?prevIndex={modified} value=4
            412/101 PUT ~/s?prevIndex=1 value=5
            412/101 PUT ~/s?prevValue=wrong&prevIndex=1 value=5
            412/101 PUT ~/s?prevValue=4&prevIndex=1 value=5
            412/101 PUT ~/s?prevValue=wrong&prevIndex={modified} value=5
            200     PUT ~/s?prevValue=4&prevIndex={modified} value=6
            200     PUT ~/s?prevExist=true&prevValue=6 value=7
            412/101 PUT ~/s?prevExist=true&prevIndex=1 value=8
            200     PUT ~/s?prevIndex=0 value=9
            200     PUT ~/s prevValue=9&value=10
            200     PUT ~/s?prevValue=10&dir=true value=11
            400/201 PUT ~/s?prevValue= value=12
            200     PUT ~/s?prevValue=11
            412/101 PUT ~/s?prevValue=x%3C%26%3E value=1
            201     PUT ~/d dir=true
            403/102 PUT ~/d?prevValue=x value=1
            403/102 PUT ~/d?prevIndex={modified} value=1
            400/104 PUT ~/s/x?prevValue=1 value=1
            200     GET ~/s
            ",
        );
    });
}

#[test]
fn create_in_order() {
    compare(|pair| {
        script::run(
            pair,
            "
            201     POST ~/queue value=1
            201     POST ~/queue value=2
            201     POST ~/queue dir=true
            201     POST ~/queue ttl=500&value=3
            201     POST ~/ value=root
            201     POST ~ value=root
            201     POST ~/queue/ value=slash
            201     POST ~/new/deep value=1
            201     PUT  ~/file value=1
            400/104 POST ~/file value=1
            201     POST ~/queue?prevExist=true&prevValue=x&prevIndex=5 value=4
            201     POST ~/_hidden value=1
            400/212 POST ~/queue?refresh=true
            200     GET  ~/queue?sorted=true
            200     GET  ~/?recursive=true&sorted=true
            ",
        );
    });
}

#[test]
fn delete() {
    compare(|pair| {
        script::run(
            pair,
            "
            404/100 DELETE ~/d
            404/100 DELETE ~/no/such/key
            201     PUT    ~/f value=1
            200     DELETE ~/f
            201     PUT    ~/f value=1
            200     DELETE ~/f?dir=true&recursive=true
            201     PUT    ~/d dir=true
            403/102 DELETE ~/d
            200     DELETE ~/d?dir=true
            201     PUT    ~/d/a/b value=1
            403/102 DELETE ~/d
            403/108 DELETE ~/d?dir=true
            200     DELETE ~/d?recursive=true
            201     PUT    ~/e/_hidden value=1
            403/108 DELETE ~/e?dir=true
            200     DELETE ~/e?dir=true&recursive=true
            201     PUT    ~/g value=1
            400/104 DELETE ~/g/x
            200     DELETE ~/g?prevExist=false
            404/100 GET    ~/g
            ",
        );
    });
}

#[test]
fn compare_and_delete() {
    compare(|pair| {
        script::run(
            pair,
            "
            404/100 DELETE ~/k?prevValue=1
            201     PUT    ~/k value=1
            412/101 DELETE ~/k?prevValue=2
            412/101 DELETE ~/k?prevIndex=1
            412/101 DELETE ~/k?prevValue=2&prevIndex=1
            412/101 DELETE ~/k?prevValue=1&prevIndex=1
            400/201 DELETE ~/k?prevValue=
            200     DELETE ~/k?prevValue=1
            201     PUT    ~/k value=1
            200     DELETE ~/k?prevIndex={modified}
            201     PUT    ~/k value=1
            200     DELETE ~/k?prevValue=1&prevIndex={modified}&prevExist=false
            201     PUT    ~/d/x value=1
            403/102 DELETE ~/d?prevValue=1
            403/102 DELETE ~/d?prevIndex=1&recursive=true
            ",
        );
    });
}

#[test]
fn the_root_is_read_only() {
    compare(|pair| {
        script::run(
            pair,
            "
            400/107 PUT    ~/ value=1
            400/107 PUT    ~ value=1
            400/107 PUT    ~/ dir=true
            400/107 PUT    ~/?prevExist=true value=1
            400/107 PUT    ~/?prevExist=false value=1
            400/107 PUT    ~/?prevValue=1 value=1
            400/107 PUT    ~/?prevIndex=1 value=1
            400/107 PUT    ~/ ttl=5
            400/107 DELETE ~/
            400/107 DELETE ~/?recursive=true
            400/107 DELETE ~?dir=true
            403/102 DELETE ~/?prevValue=1
            403/102 DELETE ~/?prevIndex=1
            200     GET    ~/
            ",
        );
    });
}

#[test]
fn get() {
    compare(|pair| {
        script::run(
            pair,
            "
            201     PUT  ~/tree/b/1 value=1
            201     PUT  ~/tree/a/2 value=2
            201     PUT  ~/tree/c value=3
            201     PUT  ~/tree/empty dir=true
            200     GET  ~/tree
            200     GET  ~/tree?sorted=true
            200     GET  ~/tree?recursive=true
            200     GET  ~/tree?recursive=true&sorted=true
            200     GET  ~/tree/c?recursive=true&sorted=true
            200     GET  ~/tree/empty
            200     GET  ~/tree/empty?recursive=true
            200     GET  ~/tree?quorum=true
            200     GET  ~/tree/c?quorum=true&recursive=false&sorted=false
            400/104 GET  ~/tree/c/x
            404/100 GET  ~/missing/deep/x
            404/100 GET  ~/tree/missing/x?quorum=true
            200     GET  ~/tree/?sorted=true
            200     HEAD ~/tree/c
            200     HEAD ~/tree?sorted=true
            404     HEAD ~/tree/nope
            ",
        );
    });
}

#[test]
fn values_are_escaped_as_go_does() {
    compare(|pair| {
        let values = [
            "%3Ca%3E%26b",
            "%22quoted%22%5C",
            "line%0Abreak%09tab%0Dret",
            "%00%01%1f%7f",
            "%C3%BC%E2%82%AC",
            "%F0%9F%98%80",
            "%E2%80%A8%E2%80%A9",
            "%ff%fe",
            "a%80b",
            "%ED%A0%80",
            "/slash'",
            "%08%0c",
        ];
        for (number, value) in values.iter().enumerate() {
            pair.send(&Request::put(format!("/v2/keys/e{number}"), &format!("value={value}")));
            pair.send(&Request::get(format!("/v2/keys/e{number}")));
            pair.send(&Request::put(format!("/v2/keys/e{number}?prevValue=no{value}"), "value=1"));
            pair.send(&Request::put(format!("/v2/keys/e{number}?prevValue={value}"), "value=1"));
        }
        for key in ["%3Ck%3E", "q%22q", "nl%0A", "u%E2%80%A8", "%01"] {
            pair.send(&Request::put(format!("/v2/keys/{key}"), "value=1"));
            pair.send(&Request::get(format!("/v2/keys/{key}/x")));
            pair.send(&Request::get(format!("/v2/keys/none{key}")));
        }
        pair.send(&Request::get("/v2/keys/?sorted=true"));
    });
}

#[test]
fn big_values() {
    compare(|pair| {
        for size in [100_000, 2_000_000, 9_000_000] {
            let value = format!("value={}", "v".repeat(size));
            assert_eq!(
                pair.send(&Request::put(format!("/v2/keys/big{size}"), &value)).reference.status,
                201
            );
            pair.send(&Request::get(format!("/v2/keys/big{size}")));
        }
        let too_big = format!("value={}", "v".repeat(11 * 1024 * 1024));
        assert_eq!(pair.send(&Request::put("/v2/keys/toobig", &too_big)).reference.status, 400);
    });
}
