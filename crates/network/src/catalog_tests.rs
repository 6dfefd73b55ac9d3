use super::*;

fn networks() -> (tempfile::TempDir, Networks) {
    let directory = tempfile::tempdir().expect("a place");
    let networks = Networks::alone(directory.path());
    (directory, networks)
}

fn named(name: &str) -> NewNetwork {
    NewNetwork {
        name: name.to_owned(),
        ..NewNetwork::default()
    }
}

const THEN: SystemTime = SystemTime::UNIX_EPOCH;

#[test]
fn the_stored_form_does_not_change_unnoticed() {
    let network = Network {
        version: FORMAT_VERSION,
        name: "app".into(),
        id: NetworkId::from_seed([7; 32]),
        created: THEN,
        subnet: "10.5.0.0/24".parse().expect("well-formed"),
        chosen_subnet: true,
        gateway: Ipv4Addr::new(10, 5, 0, 1),
        ip_range: None,
        reach: Reach::Internal,
        labels: BTreeMap::from([("a".into(), "b".into())]),
        options: BTreeMap::new(),
    };
    let json = serde_json::to_string(&network).expect("plain JSON");
    insta::assert_snapshot!(json, @r#"{"version":1,"name":"app","id":"0707070707070707070707070707070707070707070707070707070707070707","created":{"secs_since_epoch":0,"nanos_since_epoch":0},"subnet":"10.5.0.0/24","chosen_subnet":true,"gateway":"10.5.0.1","ip_range":null,"reach":"internal","labels":{"a":"b"},"options":{}}"#);
}

#[test]
fn a_network_is_found_by_name_and_by_the_beginning_of_its_id() {
    let (_place, networks) = networks();
    let made = networks
        .create(&named("app"), [0xab; 32], THEN)
        .expect("made");
    assert_eq!(networks.find("app").expect("there"), made);
    assert_eq!(networks.find("abab").expect("there"), made);
    assert!(networks.find("b").is_err());
    assert!(made.interface().len() <= 15);
    networks.remove("app").expect("removed");
    assert_eq!(networks.list().expect("readable"), []);
}

#[test]
fn names_and_ranges_are_given_once() {
    let (_place, networks) = networks();
    let one = networks.create(&named("one"), [1; 32], THEN).expect("made");
    let two = networks.create(&named("two"), [2; 32], THEN).expect("made");
    assert!(!one.subnet.overlaps(two.subnet));
    assert!(networks.create(&named("one"), [3; 32], THEN).is_err());
    let taken = NewNetwork {
        subnet: Some(one.subnet),
        ..named("three")
    };
    assert!(networks.create(&taken, [3; 32], THEN).is_err());
    for name in ["host", "none", "bridge", "-x", "a/b", ""] {
        assert!(
            networks.create(&named(name), [4; 32], THEN).is_err(),
            "{name}"
        );
    }
    assert!(networks.remove("bridge").is_err());
}

#[test]
fn gateway_and_range_lie_in_the_subnet() {
    let (_place, networks) = networks();
    let mut new = NewNetwork {
        subnet: "10.77.1.0/24".parse().ok(),
        gateway: Some(Ipv4Addr::new(10, 77, 1, 254)),
        ip_range: "10.77.1.128/25".parse().ok(),
        ..named("app")
    };
    new.gateway = Some(Ipv4Addr::new(10, 77, 2, 1));
    assert!(networks.create(&new, [1; 32], THEN).is_err());
    new.gateway = Some(Ipv4Addr::new(10, 77, 1, 254));
    let made = networks.create(&new, [1; 32], THEN).expect("made");
    assert_eq!(made.gateway, Ipv4Addr::new(10, 77, 1, 254));
}
