// Everything the service needs, in its own resource group. docs/deployment.md says what is made and why.
targetScope = 'subscription'

@description('Name of the environment: its resource group is rg- and this.')
@minLength(1)
@maxLength(64)
param environmentName string

@description('Azure region of everything.')
param location string

@description('Audiences of the tokens that are accepted, separated by commas: the application ID URI or client ID of the app registration.')
@minLength(1)
param audience string

@description('Issuer of the tokens that are accepted.')
param authority string = '${environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0'

@description('Scheme and host that clients use, such as https://dicom.example.org. Empty: what the request names.')
param publicBaseUrl string = ''

@description('Origins whose pages may use the service, separated by commas.')
param corsOrigins string = ''

@description('Make a site for the viewer, and let its pages use the service.')
param viewer bool = false

@description('Azure region that has the site of the viewer; it holds no data.')
@allowed([
  'centralus'
  'eastasia'
  'eastus2'
  'westeurope'
  'westus2'
])
param viewerLocation string = 'westeurope'

@description('Memory of an instance of the app.')
@allowed([
  512
  2048
  4096
])
param instanceMemoryMB int = 2048

@description('Requests that an instance works on at the same time, before Azure starts another.')
@minValue(1)
@maxValue(1000)
param requestsPerInstance int = 16

@description('Instances that Azure starts at most.')
@minValue(1)
@maxValue(1000)
param maximumInstances int = 40

@description('Instances that are kept running, which costs money when nobody uses them.')
@minValue(0)
@maxValue(1000)
param alwaysReadyInstances int = 0

@description('More application settings, by name, such as the limits of docs/configuration.md.')
param moreSettings object = {}

@description('How many copies of the archive are kept, and where.')
@allowed([
  'Standard_LRS'
  'Standard_ZRS'
  'Standard_GRS'
  'Standard_GZRS'
])
param archiveRedundancy string = 'Standard_LRS'

@description('Days in which a deleted blob or container can be brought back.')
@minValue(1)
@maxValue(365)
param softDeleteDays int = 14

@description('Keep what is overwritten or deleted as a version, for as many days as soft delete has.')
param keepVersions bool = false

@description('Days after which a file moves to the cool tier. 0: never.')
@minValue(0)
@maxValue(36500)
param coolAfterDays int = 0

@description('Days after which a file moves to the cold tier. 0: never.')
@minValue(0)
@maxValue(36500)
param coldAfterDays int = 0

@description('Close the storage accounts to the Internet, and reach them through a virtual network.')
param privateNetwork bool = false

@description('Where alerts are sent. Empty: no alerts.')
param alertEmail string = ''

@description('Seconds that the slowest twentieth of the requests may take before there is an alert.')
@minValue(1)
@maxValue(1800)
param alertLatencySeconds int = 30

@description('GiB that the archive may hold before there is an alert. 0: no alert.')
@minValue(0)
param alertCapacityGiB int = 0

@description('GiB that may be read from the archive in a day before there is an alert. 0: no alert.')
@minValue(0)
param alertEgressGiB int = 0

@description('Ask for /health from three places every 15 minutes, and alert when two get no good answer. Needs alertEmail.')
param availabilityTest bool = false

@description('What the storage accounts and the app log beside telemetry: changes are the writes and deletes of files; all adds reads, tables and the host.')
@allowed([
  'changes'
  'all'
])
param diagnosticLogs string = 'changes'

@description('Days for which logs and telemetry are kept.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 30

var suffix = uniqueString(subscription().id, environmentName, location)
var tags = {
  'azd-env-name': environmentName
}

resource group 'Microsoft.Resources/resourceGroups@2024-11-01' = {
  name: 'rg-${environmentName}'
  location: location
  tags: tags
}

module identity 'modules/identity.bicep' = {
  name: 'identity'
  scope: group
  params: {
    name: 'dicom-${suffix}'
    location: location
    tags: tags
  }
}

module monitoring 'modules/monitoring.bicep' = {
  name: 'monitoring'
  scope: group
  params: {
    name: 'dicom-${suffix}'
    location: location
    tags: tags
    retentionDays: logRetentionDays
  }
}

module hostStorage 'modules/storage-account.bicep' = {
  name: 'host-storage'
  scope: group
  params: {
    name: 'host${suffix}'
    location: location
    tags: tags
    redundancy: 'Standard_LRS'
    containers: [
      'app-package'
    ]
    tables: []
    softDeleteDays: 7
    keepVersions: false
    privateNetwork: privateNetwork
  }
}

module archiveStorage 'modules/storage-account.bicep' = {
  name: 'archive-storage'
  scope: group
  params: {
    name: 'archive${suffix}'
    location: location
    tags: tags
    redundancy: archiveRedundancy
    containers: [
      'dicom'
    ]
    tables: [
      'catalog'
      'terms'
      'journal'
    ]
    softDeleteDays: softDeleteDays
    keepVersions: keepVersions
    privateNetwork: privateNetwork
  }
}

module lifecycle 'modules/blob-lifecycle.bicep' = {
  name: 'blob-lifecycle'
  scope: group
  params: {
    accountName: archiveStorage.outputs.name
    container: 'dicom'
    coolAfterDays: coolAfterDays
    coldAfterDays: coldAfterDays
    versionDays: softDeleteDays
  }
}

module access 'modules/access.bicep' = {
  name: 'access'
  scope: group
  params: {
    principalId: identity.outputs.principalId
    hostAccountName: hostStorage.outputs.name
    archiveAccountName: archiveStorage.outputs.name
    componentName: monitoring.outputs.componentName
  }
}

module network 'modules/network.bicep' = if (privateNetwork) {
  name: 'network'
  scope: group
  params: {
    name: 'dicom-${suffix}'
    location: location
    tags: tags
  }
}

module hostEndpoints 'modules/private-endpoints.bicep' = if (privateNetwork) {
  name: 'host-endpoints'
  scope: group
  params: {
    accountName: hostStorage.outputs.name
    services: [
      'blob'
      'queue'
      'table'
    ]
    subnetId: network!.outputs.endpointSubnetId
    location: location
    tags: tags
  }
}

module archiveEndpoints 'modules/private-endpoints.bicep' = if (privateNetwork) {
  name: 'archive-endpoints'
  scope: group
  params: {
    accountName: archiveStorage.outputs.name
    services: [
      'blob'
      'table'
    ]
    subnetId: network!.outputs.endpointSubnetId
    location: location
    tags: tags
  }
}

module viewerSite 'modules/viewer.bicep' = if (viewer) {
  name: 'viewer'
  scope: group
  params: {
    name: 'dicom-viewer-${suffix}'
    location: viewerLocation
    tags: tags
  }
}

module functionApp 'modules/function-app.bicep' = {
  name: 'function-app'
  scope: group
  params: {
    name: 'dicom-${suffix}'
    location: location
    tags: tags
    identityName: identity.outputs.name
    hostAccountName: hostStorage.outputs.name
    packageContainer: 'app-package'
    archiveAccountName: archiveStorage.outputs.name
    componentName: monitoring.outputs.componentName
    subnetId: privateNetwork ? network!.outputs.appSubnetId : ''
    instanceMemoryMB: instanceMemoryMB
    requestsPerInstance: requestsPerInstance
    maximumInstances: maximumInstances
    alwaysReadyInstances: alwaysReadyInstances
    authority: authority
    audience: audience
    publicBaseUrl: publicBaseUrl
    corsOrigins: viewer ? '${corsOrigins},${viewerSite!.outputs.origin}' : corsOrigins
    viewerUrl: viewer ? viewerSite!.outputs.origin : ''
    moreSettings: moreSettings
  }
  dependsOn: [
    access
    hostEndpoints
    archiveEndpoints
  ]
}

module diagnostics 'modules/diagnostics.bicep' = {
  name: 'diagnostics'
  scope: group
  params: {
    workspaceId: monitoring.outputs.workspaceId
    accountNames: [
      hostStorage.outputs.name
      archiveStorage.outputs.name
    ]
    appName: functionApp.outputs.name
    everything: diagnosticLogs == 'all'
  }
}

module alerts 'modules/alerts.bicep' = if (!empty(alertEmail)) {
  name: 'alerts'
  scope: group
  params: {
    workspaceId: monitoring.outputs.workspaceId
    archiveAccountName: archiveStorage.outputs.name
    email: alertEmail
    latencySeconds: alertLatencySeconds
    maxRequestSeconds: int(moreSettings.?MAX_REQUEST_SECONDS ?? 1800)
    capacityGiB: alertCapacityGiB
    egressGiB: alertEgressGiB
    location: location
    tags: tags
  }
}

module availability 'modules/availability.bicep' = if (availabilityTest && !empty(alertEmail)) {
  name: 'availability'
  scope: group
  params: {
    componentName: monitoring.outputs.componentName
    receiversId: alerts!.outputs.receiversId
    healthUrl: '${empty(publicBaseUrl) ? functionApp.outputs.url : publicBaseUrl}/health'
    location: location
    tags: tags
  }
}

output AZURE_RESOURCE_GROUP string = group.name
output SERVICE_API_NAME string = functionApp.outputs.name
output SERVICE_URL string = empty(publicBaseUrl) ? functionApp.outputs.url : publicBaseUrl
output ARCHIVE_ACCOUNT_NAME string = archiveStorage.outputs.name
output HOST_ACCOUNT_NAME string = hostStorage.outputs.name
output VIEWER_NAME string = viewer ? viewerSite!.outputs.name : ''
output VIEWER_URL string = viewer ? viewerSite!.outputs.origin : ''
