// Asks /health from three places on three continents, and sends e-mail when two of them get no good answer: the alert for
// when nothing works, since a process that is not reached reports nothing. Each question is billed.

param environmentName string
param componentName string
param receiversId string
param healthUrl string
param location string
param tags { *: string }

var name = 'dicom-health-${environmentName}'

// Virginia, Amsterdam and Singapore, by the names that tests have for them.
var testLocations = [
  'us-va-ash-azr'
  'emea-nl-ams-azr'
  'apac-sg-sin-azr'
]

resource component 'Microsoft.Insights/components@2020-02-02' existing = {
  name: componentName
}

resource healthTest 'Microsoft.Insights/webtests@2022-06-15' = {
  name: name
  location: location
  tags: union(tags, {
    'hidden-link:${component.id}': 'Resource'
  })
  kind: 'standard'
  properties: {
    SyntheticMonitorId: name
    Name: name
    Kind: 'standard'
    Enabled: true
    Frequency: 900
    Timeout: 30
    RetryEnabled: true
    Locations: [
      for id in testLocations: {
        Id: id
      }
    ]
    Request: {
      RequestUrl: healthUrl
      HttpVerb: 'GET'
      FollowRedirects: false
      ParseDependentRequests: false
    }
    ValidationRules: {
      ExpectedHttpStatusCode: 200
      SSLCheck: true
      SSLCertRemainingLifetimeCheck: 7
    }
  }
}

resource healthAlert 'Microsoft.Insights/metricAlerts@2026-01-01' = {
  name: name
  location: 'global'
  tags: tags
  properties: {
    description: '/health did not answer 200 to two of three places that ask every 15 minutes, or its certificate ends within a week.'
    severity: 1
    enabled: true
    scopes: [
      healthTest.id
      component.id
    ]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.WebtestLocationAvailabilityCriteria'
      webTestId: healthTest.id
      componentId: component.id
      failedLocationCount: 2
    }
    actions: [
      {
        actionGroupId: receiversId
      }
    ]
  }
}
